import fc from 'fast-check'
import { expect, test } from 'vitest'
import { badge, contrast, standingOut } from './colors.ts'

test.each([
  ['#ffffff', '#ffffff', '#000'], ['#FFEE00', '#FFEE00', '#000'], ['#000000', '#000000', '#fff'], ['#1d4ed8', '#1d4ed8', '#fff'],
  ['', '#57534e', '#fff'], ['url(/graphql)', '#57534e', '#fff'], ['#fff', '#57534e', '#fff'],
])('letters on %s can be read', (color, background, letters) => {
  expect(badge(color)).toEqual({ background, color: letters })
})

// As in app.css: the page and its surfaces, light and dark.
const surfaces = ['#fafaf9', '#ffffff', '#1c1917', '#292524']
const anyColor = fc.integer({ min: 0, max: 0xffffff }).map((rgb) => `#${rgb.toString(16).padStart(6, '0')}`)

test('lines in any colour stand out, and letters on it can be read', () => {
  fc.assert(fc.property(anyColor, (color) => {
    const shown = standingOut(color)
    for (const surface of surfaces) expect(contrast(shown, surface)).toBeGreaterThanOrEqual(3)
    expect(contrast(shown, badge(shown).color === '#000' ? '#000000' : '#ffffff')).toBeGreaterThanOrEqual(4.5)
  }), { examples: [['#000000'], ['#ffffff'], ['#0000ff'], ['#ffff00'], ['#1d4ed8']] })
})

test('a colour that stands out stays as it is', () => {
  expect(standingOut('#c74a22')).toBe('#c74a22')
  expect(standingOut('red')).toBe(standingOut('#57534e'))
})
