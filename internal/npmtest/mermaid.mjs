// Reads [{text}] from standard input and answers what Mermaid makes of each: its error, or the type of the diagram and
// the labels, as a browser would show them.
import { text as read } from 'node:stream/consumers';
import { JSDOM } from 'jsdom';

const { window } = new JSDOM('<body></body>');
globalThis.window = window;
globalThis.document = window.document;
const { default: mermaid } = await import('mermaid-11.17');

function shown(label) {
  const div = document.createElement('div');
  div.innerHTML = label.replace(/ﬂ°°/g, '&#').replace(/ﬂ°/g, '&').replace(/¶ß/g, ';');
  return div.textContent;
}

function mindmapLabels(node, labels = []) {
  labels.push(shown(node.descr));
  node.children.forEach((child) => mindmapLabels(child, labels));
  return labels;
}

async function describe({ text }) {
  try {
    const { diagramType } = await mermaid.parse(text);
    const { db } = await mermaid.mermaidAPI.getDiagramFromText(text);
    const answer = { type: diagramType, title: db.getDiagramTitle?.() ?? '' };
    if (diagramType.startsWith('flowchart')) {
      answer.nodes = [...db.getVertices().values()].map(({ id, text, labelType }) => ({ id, label: shown(text ?? id), labelType }));
      answer.edges = db.getEdges().map(({ start, end, text }) => ({ start, end, label: shown(text) }));
      answer.groups = db.getSubGraphs().map(({ id, title }) => ({ id, label: shown(title) }));
    } else if (diagramType === 'mindmap') {
      answer.labels = mindmapLabels(db.getMindmap());
    } else if (diagramType === 'treemap') {
      answer.labels = db.getNodes().map(({ name }) => shown(name));
    }
    return answer;
  } catch (err) {
    return { error: String(err) };
  }
}

const answers = [];
for (const diagram of JSON.parse(await read(process.stdin))) answers.push(await describe(diagram));
console.log(JSON.stringify(answers));
