// Runs tests by name, one after the other, and ends the process: with an error at the first that fails.
export const runAll = async (tests) => {
  for (const [name, run] of Object.entries(tests)) {
    try {
      await run()
    } catch (error) {
      console.error(`FAILED: ${name}\n`, error)
      process.exit(1)
    }
  }
  console.log(`${Object.keys(tests).length} passed`)
  process.exit(0)
}
