// A client as others build them: screens by the address, a plan with nodes to drag, and the pointers of who else looks at it.
import { attend, request, subscribe } from './transport-B1nW7dZe.js'

const root = document.getElementById('root')
let close = () => {} // what the screen holds

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties)
  made.append(...children)
  return made
}

function link(path, text) {
  return element('a', {
    href: path,
    textContent: text,
    onclick(event) {
      event.preventDefault()
      history.pushState(null, '', path)
      show()
    },
  })
}

async function projectsScreen() {
  const list = element('ul')
  const add = element('button', {
    textContent: 'New project',
    async onclick() {
      await request('CreateProject', 'mutation CreateProject($input: CreateProjectInput!) { createProject(input: $input) { id name __typename } }', {
        input: { name: 'Another project', description: '' },
      })
      await fill()
    },
  })
  async function fill() {
    const { projects } = await request('GetProjects', 'query GetProjects { projects { id name __typename } }')
    list.replaceChildren(...projects.map(({ id, name }) => element('li', {}, link(`/projects/${id}/plan`, name))))
  }
  root.replaceChildren(element('h1', { textContent: 'Projects' }), add, list)
  await fill()
}

const planQuery = `query GetPlanDag($projectId: Int!) { getPlanDag(projectId: $projectId) {
  version nodes { id nodeType position { x y __typename } metadata { label __typename } config __typename } __typename } }`

function planScreen(projectId) {
  const canvas = element('div', { className: 'canvas' })
  const online = element('output', { className: 'online' })
  const nodes = new Map()
  const cursors = new Map()
  let version = -1

  const put = (box, { x, y }) => { box.style.transform = `translate(${x}px, ${y}px)` }

  async function load() {
    const { getPlanDag: plan } = await request('GetPlanDag', planQuery, { projectId })
    if (Number(plan.version) < version) return // an answer that was overtaken
    version = Number(plan.version)
    canvas.dataset.version = plan.version
    for (const node of plan.nodes) {
      const box = nodes.get(node.id) ?? draw(node)
      box.textContent = node.metadata.label
      put(box, node.position)
    }
    for (const [id, box] of nodes) {
      if (plan.nodes.some((node) => node.id === id)) continue
      box.remove()
      nodes.delete(id)
    }
  }

  function draw({ id }) {
    const box = element('div', { className: 'node' })
    box.dataset.id = id
    box.onpointerdown = (down) => {
      const { left, top } = canvas.getBoundingClientRect()
      const held = box.getBoundingClientRect()
      const at = (event) => ({
        x: Math.round(held.left - left + event.clientX - down.clientX),
        y: Math.round(held.top - top + event.clientY - down.clientY),
      })
      box.setPointerCapture(down.pointerId)
      box.onpointermove = (event) => put(box, at(event))
      box.onpointerup = async (event) => {
        box.onpointermove = box.onpointerup = null
        await request('MovePlanDagNode', `mutation MovePlanDagNode($projectId: Int!, $nodeId: String!, $position: PositionInput!) {
          movePlanDagNode(projectId: $projectId, nodeId: $nodeId, position: $position) { id __typename } }`,
        { projectId, nodeId: id, position: at(event) })
      }
    }
    nodes.set(id, box)
    canvas.append(box)
    return box
  }

  const add = element('button', {
    textContent: 'Add a node',
    async onclick() {
      const id = `graphnode_${String(nodes.size + 1).padStart(3, '0')}`
      await request('AddPlanDagNode', `mutation AddPlanDagNode($projectId: Int!, $node: PlanDagNodeInput!) {
        addPlanDagNode(projectId: $projectId, node: $node) { id __typename } }`, {
        projectId,
        node: { id, nodeType: 'GraphNode', position: { x: 100, y: 40 + 60 * nodes.size }, metadata: { label: id, description: '' }, config: '{}' },
      })
    },
  })

  const project = attend(projectId, `user-${crypto.randomUUID()}`, 'project-global', (people) => { online.textContent = `${people.length} online` })
  const place = attend(projectId, 'anonymous', 'plan-dag-canvas', (people) => {
    const seen = new Set()
    for (const { userId, userName, documents } of people) {
      const position = documents['plan-dag-canvas']?.position
      if (!position || userId === 'anonymous') continue
      seen.add(userId)
      if (!cursors.has(userId)) {
        cursors.set(userId, element('span', { className: 'cursor' }))
        canvas.append(cursors.get(userId))
      }
      cursors.get(userId).textContent = userName
      put(cursors.get(userId), position)
    }
    for (const [userId, box] of cursors) {
      if (seen.has(userId)) continue
      box.remove()
      cursors.delete(userId)
    }
  })
  let last = { x: -100, y: -100, at: 0 }
  canvas.onpointermove = (event) => {
    const { left, top } = canvas.getBoundingClientRect()
    const [x, y] = [event.clientX - left, event.clientY - top]
    if (event.timeStamp - last.at < 250 || Math.hypot(x - last.x, y - last.y) < 10) return
    last = { x, y, at: event.timeStamp }
    place.move(x, y)
  }
  const stop = subscribe('PlanDagDeltaChanged', `subscription PlanDagDeltaChanged($projectId: Int!) {
    planDagDeltaChanged(projectId: $projectId) { projectId version userId timestamp operations { op path value from } } }`,
  { projectId }, () => { void load() })
  close = () => {
    stop()
    project.leave()
    place.leave()
  }
  root.replaceChildren(element('nav', {}, link('/projects', 'Projects'), add, online), canvas)
  return load()
}

function show() {
  close()
  close = () => {}
  const project = /^\/projects\/(\d+)\/plan$/.exec(location.pathname)
  const ready = project ? planScreen(Number(project[1])) : projectsScreen()
  ready.catch((error) => root.append(element('p', { role: 'alert', textContent: error.message })))
}

addEventListener('popstate', show)
show()
