'use strict'
// Where the browser goes afterwards: a path of this server, and never anything that leads elsewhere.
function returnPath() {
  const wanted = new URLSearchParams(location.search).get('return') ?? '/'
  try {
    const url = new URL(wanted, location.origin)
    const path = url.pathname + url.search + url.hash
    return /^\/(?![/\\])/.test(wanted) && url.origin === location.origin && /^\/(?![/\\])/.test(path) ? path : '/'
  } catch {
    return '/'
  }
}

const at = (id) => document.getElementById(id)
const say = (text) => { at('said').textContent = text }

async function ask(query, variables) {
  const response = await fetch('/graphql', {
    method: 'POST', credentials: 'same-origin',
    headers: { 'Content-Type': 'application/json', Accept: 'application/graphql-response+json' },
    body: JSON.stringify({ query, variables }),
  })
  const answer = await response.json()
  if (answer.errors) throw new Error(answer.errors[0].message)
  return answer.data
}

function onSubmit(id, f) {
  at(id).addEventListener('submit', async (event) => {
    event.preventDefault()
    const button = event.target.querySelector('button')
    button.disabled = true
    say('')
    try {
      await f(Object.fromEntries(new FormData(event.target)))
    } catch (e) {
      say(e.message)
    } finally {
      button.disabled = false
    }
  })
}

onSubmit('password', async ({ email, password }) => {
  await ask('mutation($i: LoginInput!) { login(input: $i, cookie: true) { expiresAt } }', { i: { email, password } })
  location.assign(returnPath())
})
onSubmit('code', async ({ code, password }) => {
  await ask('mutation($c: String!, $p: String!) { redeemCode(code: $c, password: $p, cookie: true) { expiresAt } }', { c: code.trim(), p: password })
  location.assign(returnPath())
})
onSubmit('change', async ({ current, fresh }) => {
  await ask('mutation($c: String!, $n: String!) { changePassword(current: $c, new: $n) }', { c: current, n: fresh })
  at('change').reset()
  say('The password is changed, and your other sessions have ended.')
})
onSubmit('join', async ({ current }) => {
  const response = await fetch('/oidc/join', {
    method: 'POST', credentials: 'same-origin', headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ currentPassword: current, return: '/login' }),
  })
  const { url, error } = await response.json()
  if (error) throw new Error(error.message)
  location.assign(url)
})
at('logout').addEventListener('click', async () => {
  try {
    await ask('mutation { logout(sessionId: "") }')
    location.reload()
  } catch (e) {
    say(e.message)
  }
})

// show shows what there is to do for somebody, or for nobody: null.
function show(me, { passwords, singleSignOn }) {
  at('who').hidden = !me
  at('sso').hidden = !!me || !singleSignOn
  at('password').hidden = at('first').hidden = !!me || !passwords
  at('change').hidden = at('proof').hidden = !me || !passwords
  at('join').hidden = !me || !singleSignOn
}

async function begin() {
  const response = await fetch('/login/options')
  const options = await response.json()
  at('provider').textContent = `Sign in with ${options.singleSignOn}`
  at('provider').href = `/oidc/login?return=${encodeURIComponent(returnPath())}`
  show(null, options)
  const { me } = await ask('{ me { displayName } }')
  if (!me) return
  at('name').textContent = me.displayName
  at('onward').href = returnPath()
  show(me, options)
}
begin().catch((e) => say(e.message))
