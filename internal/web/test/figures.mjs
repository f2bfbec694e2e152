// What the page takes on this machine: times, frames, and time of the main thread. Prints figures; nothing here fails because of one.
import { cards, launch, live, open } from './browser.mjs'

const [url, other] = [process.env.URL, process.env.OTHER_URL]
const seconds = Number(process.env.SECONDS ?? 5) // of each gesture
const memorySeconds = Number(process.env.MEMORY_SECONDS ?? 60)

const print = (what, figures) => console.log(`${what}: ${figures}`)
const ms = (time) => `${time.toFixed(1)} ms`
const sorted = (numbers) => numbers.toSorted((a, b) => a - b)
const quantile = (numbers, q) => sorted(numbers)[Math.min(numbers.length - 1, Math.floor(numbers.length * q))]

async function post(query, variables = {}, at = url) {
  const response = await fetch(`${at}/graphql`, {
    method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ query, variables }),
  })
  const { data, errors } = await response.json()
  if (errors) throw new Error(JSON.stringify(errors))
  return data
}

const edit = (projectId, edits) => (
  post('mutation ($projectId: Int!, $edits: [PlanEdit!]!) { editPlan(projectId: $projectId, edits: $edits) { version } }', { projectId, edits }))

/** Makes a project with a plan of so many nodes, in columns of 25, and edges that lead to the right. */
async function planWith(nodes, edges) {
  const { createProject: { id } } = await post('mutation { createProject(input: { name: "Figures" }) { id } }')
  const place = (i) => ({ x: Math.floor(i / 25) * 280, y: (i % 25) * 100 })
  const all = Array.from({ length: nodes }, (_, i) => ({
    addNode: { id: `n${i}`, nodeType: 'GraphNode', position: place(i), metadata: { label: `Node ${i}`, description: null }, config: '{}' },
  }))
  for (let step = 1; all.length < nodes + edges; step++) {
    for (let i = 0; i + step < nodes && all.length < nodes + edges; i++) {
      all.push({
        addEdge: {
          id: `e${step}_${i}`, source: `n${i}`, target: `n${i + step}`, metadata: { label: null, dataType: 'GRAPH_REFERENCE' },
        },
      })
    }
  }
  for (let i = 0; i < all.length; i += 500) await edit(id, all.slice(i, i + 500))
  return id
}

/** Counts frames and time of the main thread while something happens. */
async function whileIn(page, happens) {
  const devtools = await page.context().newCDPSession(page)
  await devtools.send('Performance.enable', { timeDomain: 'threadTicks' })
  const thread = async () => {
    const { metrics } = await devtools.send('Performance.getMetrics')
    return metrics.find(({ name }) => name === 'TaskDuration').value * 1_000
  }
  await page.evaluate(() => {
    window.frameTimes = []
    let last
    const next = (now) => {
      if (last !== undefined) window.frameTimes.push(now - last)
      last = now
      window.frameRequest = requestAnimationFrame(next)
    }
    window.frameRequest = requestAnimationFrame(next)
  })
  const before = await thread()
  const begun = performance.now()
  await happens()
  const time = performance.now() - begun
  const used = (await thread()) - before
  const frames = await page.evaluate(() => {
    cancelAnimationFrame(window.frameRequest)
    return window.frameTimes
  })
  await devtools.detach()
  return { frames, used, share: used / time }
}

const inWords = ({ frames, used, share }) => (
  `95 of 100 frames within ${ms(quantile(frames, 0.95))}, ${frames.length} frames; main thread ${ms(used / frames.length)} a frame, ${(share * 100).toFixed(0)} %`)

/** Moves ten nodes of a plan every 50 ms, as others would, until the signal. */
async function movesOfOthers(projectId, nodes, signal) {
  for (let round = 0; !signal.aborted; round++) {
    const moves = Array.from({ length: 10 }, (_, i) => {
      const n = (round * 10 + i) % nodes
      return { nodeId: `n${n}`, position: { x: Math.floor(n / 25) * 280 + (round % 2) * 20, y: (n % 25) * 100 } }
    })
    await Promise.all([edit(projectId, [{ moveNodes: moves }]), new Promise((resolve) => setTimeout(resolve, 50))])
  }
}

const browser = await launch()
try {
  // The sample plan, from a fresh page.
  const one = await open(browser, url)
  const sample = one.getByRole('button', { name: 'Open the sample plan' })
  await sample.waitFor()
  let begun = performance.now()
  await sample.click()
  await Promise.all([live(one), cards(one, 8)])
  print('sample plan, drawn and live', ms(performance.now() - begun))

  // An edit on one replica until it is drawn by the other's.
  const projectId = Number(new URL(one.url()).pathname.split('/').at(-1))
  const two = await open(browser, `${other}/projects/${projectId}`)
  await Promise.all([live(two), cards(two, 8)])
  await two.evaluate(() => {
    window.seen = {}
    new MutationObserver(() => {
      const label = document.querySelector('[data-id=mergenode_004] strong')?.textContent
      if (label && !(label in window.seen)) window.seen[label] = new Promise((resolve) => requestAnimationFrame(() => resolve(Date.now())))
    }).observe(document.body, { subtree: true, childList: true, characterData: true })
  })
  const times = []
  for (let i = 0; i < 100; i++) {
    const label = `Edit ${i}`
    const at = Date.now()
    await edit(projectId, [{ updateNode: { id: 'mergenode_004', updates: { metadata: { label } } } }])
    await two.waitForFunction((text) => text in window.seen, label)
    times.push((await two.evaluate((text) => window.seen[text], label)) - at)
  }
  print('an edit on one replica, drawn by the other', `p50 ${quantile(times, 0.5)} ms, p95 ${quantile(times, 0.95)} ms`)
  await two.context().close()

  // Gestures in plans of three sizes.
  for (const [nodes, edges] of [[200, 400], [1_000, 1_000], [1_000, 5_000]]) {
    const id = await planWith(nodes, edges)
    begun = performance.now()
    const page = await open(browser, `${other}/projects/${id}`)
    await page.locator('.react-flow__node').first().waitFor()
    await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))))
    print(`${nodes} nodes, ${edges} edges, first drawing`, ms(performance.now() - begun))
    await live(page)
    const ended = new AbortController()
    const others = movesOfOthers(id, nodes, ended.signal)
    const figures = await whileIn(page, async () => {
      const box = await page.locator('.react-flow__node').first().boundingBox()
      const until = performance.now() + seconds * 1_000
      await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2)
      await page.mouse.down()
      for (let i = 0; performance.now() < until - seconds * 500; i++) await page.mouse.move(box.x + 20 + (i % 100), box.y + 20 + (i % 60))
      await page.mouse.up()
      const pane = await page.locator('.canvas').boundingBox()
      await page.mouse.move(pane.x + pane.width - 30, pane.y + pane.height - 200)
      await page.mouse.down({ button: 'middle' })
      for (let i = 0; performance.now() < until; i++) await page.mouse.move(pane.x + pane.width - 30 - (i % 100), pane.y + pane.height - 200)
      await page.mouse.up({ button: 'middle' })
    })
    ended.abort()
    await others
    print(`${nodes} nodes, ${edges} edges, dragging and panning while others move`, inWords(figures))
    await page.context().close()
  }

  // A hundred pointers of others.
  const crowd = await open(browser, `${other}/`)
  await crowd.evaluate(async ([project, people]) => {
    window.crowd = await Promise.all(Array.from({ length: people }, (_, i) => new Promise((resolve) => {
      const socket = new WebSocket(`${location.origin.replace('http', 'ws')}/ws/collaboration?project_id=${project}`)
      socket.onopen = () => {
        const data = { userId: `crowd ${i}`, userName: `Person ${i}`, avatarColor: '#1d4ed8', documentId: 'plan-dag-canvas' }
        socket.send(JSON.stringify({ type: 'join_session', data }))
        resolve(socket)
      }
    })))
    let step = 0
    setInterval(() => {
      step++
      window.crowd.forEach((socket, i) => socket.send(JSON.stringify({
        type: 'cursor_update',
        data: {
          documentId: 'plan-dag-canvas', documentType: 'canvas', timestamp: Date.now(),
          position: { type: 'canvas', x: (i % 10) * 100 + Math.sin(step / 5 + i) * 80, y: Math.floor(i / 10) * 40 + Math.cos(step / 5 + i) * 80 },
        },
      })))
    }, 100)
  }, [projectId, 100])
  await one.waitForFunction(() => document.querySelectorAll('.pointer').length >= 100)
  print('100 pointers moving', inWords(await whileIn(one, () => new Promise((resolve) => setTimeout(resolve, seconds * 1_000)))))
  await crowd.context().close()

  // A thousand changes that wait.
  const empty = await planWith(0, 0)
  const away = await open(browser, url)
  await away.evaluate(async (project) => {
    const { connect } = await import('/client/index.js')
    window.plan = (await connect({ url: location.origin })).plan(project)
    await new Promise((resolve) => window.plan.subscribe(() => window.plan.snapshot().status.state === 'live' && resolve()))
  }, empty)
  await away.context().setOffline(true)
  await away.evaluate(() => {
    for (let i = 0; i < 1_000; i++) {
      window.plan.change([{
        addNode: { id: `waiting${i}`, nodeType: 'GraphNode', position: { x: i, y: 0 }, metadata: { label: `${i}`, description: null }, config: '{}' },
      }])
    }
  })
  begun = performance.now()
  await away.context().setOffline(false)
  const left = await away.evaluate(() => new Promise((resolve) => {
    const look = () => {
      const { waiting, refused } = window.plan.snapshot()
      if (waiting === 0) resolve(refused.length)
    }
    window.plan.subscribe(look)
    look()
  }))
  print('1,000 changes that waited, all sent', `${ms(performance.now() - begun)}, ${left} refused`)
  await away.context().close()

  // Memory, while many changes come.
  const devtools = await one.context().newCDPSession(one)
  await devtools.send('Performance.enable')
  const held = async () => {
    await devtools.send('HeapProfiler.collectGarbage')
    const { metrics } = await devtools.send('Performance.getMetrics')
    const of = (wanted) => metrics.find(({ name }) => name === wanted).value
    return { megabytes: of('JSHeapUsedSize') / 1e6, nodes: of('Nodes') }
  }
  const change = (n) => (
    edit(projectId, [{ moveNodes: [{ nodeId: 'mergenode_004', position: { x: 280 + (n % 200), y: 120 } }] }]))
  for (let i = 0; i < 200; i++) await change(i)
  const first = await held()
  const until = performance.now() + memorySeconds * 1_000
  let made = 0
  const author = async () => {
    while (performance.now() < until) await change(made++)
  }
  await Promise.all(Array.from({ length: 8 }, author))
  await one.waitForFunction(() => document.querySelector('.status')?.dataset.state === 'live')
  const last = await held()
  print(`${made} changes in ${memorySeconds} s`,
    `heap ${first.megabytes.toFixed(1)} to ${last.megabytes.toFixed(1)} MB, nodes of documents ${first.nodes} to ${last.nodes}`)
} finally {
  await browser.close()
}
