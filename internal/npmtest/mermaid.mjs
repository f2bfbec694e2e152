// Draws Mermaid diagrams in Chromium (CHROMIUM), with every version of Mermaid that is installed here, and says what is seen.
// DIAGRAMS names a file with a JSON array of sources. The answer is {version: [drawing, ...]} in the order of the sources. PNG, if
// set, names a folder for pictures of the drawings.
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { chromium } from 'playwright-core';

const modules = new URL('node_modules/', import.meta.url);
const versions = (await readdir(modules)).filter((name) => name.startsWith('mermaid-')).sort();
const sources = JSON.parse(await readFile(process.env.DIAGRAMS, 'utf8'));
const pictures = process.env.PNG;

// draw runs in the page.
async function draw([source, id]) {
  const out = document.getElementById('out');
  let seed = 1; // the layout of a mind map begins at random
  Math.random = () => (seed = (seed * 48271) % 0x7fffffff) / 0x7fffffff;
  let drawn;
  try {
    drawn = await mermaid.render(id, source);
  } catch (err) {
    // Mermaid leaves its picture of an error behind.
    for (const left of document.querySelectorAll(`#${id}, #d${id}`)) left.remove();
    return { error: String(err) };
  }
  out.innerHTML = drawn.svg;
  const svg = out.querySelector('svg');
  if (svg.getAttribute('aria-roledescription') === 'error') return { error: svg.textContent.trim() };

  // What is seen of a label: its text with its line breaks, and which elements make something else of it than text.
  const shown = (element) => {
    const label = element?.querySelector('foreignObject div') ?? element?.querySelector('text') ?? element;
    if (!label) return { text: '', markup: '' };
    const html = label instanceof HTMLElement;
    const markup = html ? [...label.querySelectorAll(':not(span, p, br)')].map((e) => e.localName).join(' ') : '';
    return { text: html ? label.innerText : label.textContent, markup };
  };
  const look = (shape, text) => {
    const s = shape && getComputedStyle(shape);
    const t = text && getComputedStyle(text);
    return [s?.fill, s?.stroke, s?.strokeWidth, t instanceof CSSStyleDeclaration ? t.color : '', t?.fill, t?.fontSize].join('|');
  };
  const box = (g) => {
    const text = g.querySelector('foreignObject p') ?? g.querySelector('foreignObject span') ?? g.querySelector('text');
    return { ...shown(g), look: look(g.querySelector('rect, path, polygon, circle'), text) };
  };
  const all = (selector) => [...svg.querySelectorAll(selector)];
  const answer = { type: drawn.diagramType, title: svg.querySelector('.flowchartTitleText, .treemapTitle')?.textContent ?? '' };

  if (drawn.diagramType === 'treemap') {
    answer.nodes = all('.treemapNode').map(box);
    answer.groups = all('.treemapSection > .treemapSectionLabel').slice(1).map((label) => ({ ...shown(label) }));
    return answer;
  }

  // 11.12 calls an element as 11.17 does, but without the id of the picture.
  const idOf = (g) => g.id.replace(id + '-', '').replace(/^flowchart-(.*)-\d+$/, '$1');
  const nodes = all('g.node');
  answer.nodes = nodes.map((g) => ({ id: idOf(g), ...box(g) }));
  answer.groups = all('g.cluster').map((g) => ({ id: idOf(g), ...box(g) }));
  if (drawn.diagramType === 'mindmap') return answer;

  const near = ({ x, y }, by) => {
    const found = nodes.filter((g) => {
      const r = g.getBoundingClientRect();
      return x > r.left - by && x < r.right + by && y > r.top - by && y < r.bottom + by;
    });
    return found.map(idOf).join(' ');
  };
  const labels = all('g.edgeLabel');
  answer.edges = all('path.flowchart-link').map((line) => {
    const screen = line.getScreenCTM();
    const at = (length) => line.getPointAtLength(length).matrixTransform(screen);
    const length = line.getTotalLength();
    const gap = 15 * screen.a; // between nodes are 50
    const label = labels.find((g) => g.querySelector('.label')?.dataset.id === line.dataset.id);
    const edge = { from: near(at(0), gap), to: near(at(length), gap), ...shown(label), look: look(line, label?.querySelector('span')) };
    if (edge.text) {
      const r = label.getBoundingClientRect();
      const steps = Array.from({ length: 101 }, (_, i) => at((i * length) / 100));
      edge.astray = !steps.some(({ x, y }) => x > r.left && x < r.right && y > r.top && y < r.bottom);
    }
    return edge;
  });
  return answer;
}

const profile = await mkdtemp(path.join(tmpdir(), 'chromium-'));
const flags = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--disable-background-networking', '--disable-component-update',
  '--disable-sync', '--no-first-run'];
const browser = await chromium.launchPersistentContext(profile, { executablePath: process.env.CHROMIUM, args: flags });
try {
  // Each version draws in a page of its own, and so in a process of its own.
  const drawAll = async (version) => {
    const page = await browser.newPage();
    await page.setViewportSize({ width: 1600, height: 1200 });
    await page.setContent('<div id="out"></div>');
    await page.addScriptTag({ path: new URL(`${version}/dist/mermaid.min.js`, modules).pathname });
    await page.evaluate(() => mermaid.initialize({ startOnLoad: false }));
    const drawings = [];
    for (const [i, source] of sources.entries()) {
      drawings.push(await page.evaluate(draw, [source, `drawing${i}`]));
      if (pictures) await page.locator('#out').screenshot({ path: path.join(pictures, `${i}-${version}.png`) });
    }
    await page.close();
    return [version, drawings];
  };
  console.log(JSON.stringify(Object.fromEntries(await Promise.all(versions.map(drawAll)))));
} finally {
  await browser.close();
  await rm(profile, { recursive: true, force: true });
}
