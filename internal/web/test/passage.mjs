// A way to a replica that can break.
import { connect, createServer } from 'node:net'

/** A way to a port that can be closed, with all that is under way, and opened again at the same address. */
export async function passage(port) {
  let server
  const sockets = new Set()
  const listen = (at) => new Promise((resolve) => {
    server = createServer((near) => {
      const far = connect(port, '127.0.0.1')
      for (const [from, to] of [[near, far], [far, near]]) {
        sockets.add(from)
        from.pipe(to)
        from.on('error', () => to.destroy())
        from.on('close', () => { sockets.delete(from); to.destroy() })
      }
    })
    server.listen(at, '127.0.0.1', resolve)
  })
  await listen(0)
  const own = server.address().port
  return {
    url: `http://127.0.0.1:${own}`,
    open: () => listen(own),
    close: () => new Promise((resolve) => {
      server.close(resolve)
      for (const socket of sockets) socket.destroy()
    }),
  }
}
