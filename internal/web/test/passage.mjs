// A way to a replica that can break.
import { connect, createServer } from 'node:net'

/** A way to a port that can be closed, with all that is under way, and opened again at the same address. */
export async function passage(port) {
  let server
  let mute = false
  const sockets = new Set()
  const listen = (at) => new Promise((resolve) => {
    server = createServer((near) => {
      const far = connect(port, '127.0.0.1')
      for (const [from, to] of [[near, far], [far, near]]) {
        sockets.add(from)
        from.on('data', (data) => {
          if (mute && from === far) return
          if (!to.write(data)) from.pause()
        })
        from.on('end', () => to.end())
        to.on('drain', () => from.resume())
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
    open: () => {
      mute = false
      return listen(own)
    },
    /** Loses all that comes back from the port, until the way is opened again. */
    mute: () => { mute = true },
    close: () => new Promise((resolve) => {
      server.close(resolve)
      for (const socket of sockets) socket.destroy()
    }),
  }
}
