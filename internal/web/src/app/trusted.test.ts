import { afterEach, expect, test, vi } from 'vitest'
import { scriptAddress } from './trusted.ts'

afterEach(() => { vi.unstubAllGlobals() })

test.each([
  ['/assets/layout.worker-1.js', true], ['https://layercake.test/assets/a.js', true], ['https://elsewhere.test/a.js', false],
  ['//elsewhere.test/a.js', false], ['http://layercake.test/a.js', false], ['data:text/javascript,1', false], ['blob:https://elsewhere.test/1', false],
])('a script at %s is ours: %s', (address, ours) => {
  vi.stubGlobal('location', new URL('https://layercake.test/projects/1'))
  if (ours) expect(scriptAddress(address)).toBe(address)
  else expect(() => scriptAddress(address)).toThrow('is not ours')
})
