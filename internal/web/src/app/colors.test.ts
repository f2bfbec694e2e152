import { expect, test } from 'vitest'
import { badge } from './colors.ts'

test.each([
  ['#ffffff', '#ffffff', '#000'], ['#FFEE00', '#FFEE00', '#000'], ['#000000', '#000000', '#fff'], ['#1d4ed8', '#1d4ed8', '#fff'],
  ['', '#57534e', '#fff'], ['url(/graphql)', '#57534e', '#fff'], ['#fff', '#57534e', '#fff'],
])('letters on %s can be read', (color, background, letters) => {
  expect(badge(color)).toEqual({ background, color: letters })
})
