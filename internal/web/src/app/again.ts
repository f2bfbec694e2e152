// Does one thing at a time.

/** Returns what does something, and once more, after a rest in milliseconds, when it is called meanwhile. */
export function oneAtATime(act: () => Promise<void>, rest = 0): () => Promise<void> {
  let busy = false
  let wanted = false
  return async () => {
    wanted = true
    if (busy) return
    busy = true
    try {
      while (wanted) {
        wanted = false
        await act()
        if (rest > 0) await new Promise((resolve) => setTimeout(resolve, rest))
      }
    } finally {
      busy = false
    }
  }
}
