'use strict'
// Runs before the scripts of a client that was built for servers without accounts, and whose requests leave cookies out: those to this server
// carry them. Requests to others, and everything else of a request, stay as the client makes them.
{
  const send = globalThis.fetch
  const isOurs = (input) => new URL(input instanceof Request ? input.url : input, document.baseURI).origin === location.origin
  const leavesOut = (input, init) => (init?.credentials ?? (input instanceof Request ? input.credentials : undefined)) === 'omit'
  globalThis.fetch = function fetch(input, init) {
    try {
      if (leavesOut(input, init) && isOurs(input)) {
        return send.call(this, input, Object.create(init ?? null, { credentials: { value: 'same-origin' } }))
      }
    } catch {
      // No address: the browser says so.
    }
    return send.call(this, input, init)
  }
}
