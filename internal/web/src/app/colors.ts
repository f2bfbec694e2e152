// The colours of people, which they choose themselves.

type Channels = [red: number, green: number, blue: number]

/** The colour of whoever has none. */
const grey = '#57534e'

/** What is drawn in somebody's colour, with letters on it that can be read. What is no such colour is grey. */
export function badge(color: string): { background: string; color: string } {
  const background = valid(color)
  // At 0.179 black and white stand out equally, both enough.
  return { background, color: luminance(channels(background)) > 0.179 ? '#000' : '#fff' }
}

// Luminances between these have a contrast of 3:1 or more with the page and its cards, light and dark.
const [darkest, lightest] = [0.16, 0.28]

/** Somebody's colour, made lighter or darker until lines of it stand out in both schemes. */
export function standingOut(color: string): string {
  const light = channels(valid(color))
  const luminous = luminance(light)
  if (luminous < darkest) {
    const white = (darkest - luminous) / (1 - luminous)
    return hex(light.map((part) => part + (1 - part) * white))
  }
  return luminous > lightest ? hex(light.map((part) => part * lightest / luminous)) : valid(color)
}

/** The contrast of two colours, as WCAG defines it. */
export function contrast(one: string, other: string): number {
  const [less, more] = [one, other].map((color) => luminance(channels(color))).toSorted((a, b) => a - b) as [number, number]
  return (more + 0.05) / (less + 0.05)
}

function valid(color: string): string {
  return /^#[0-9a-f]{6}$/i.test(color) ? color : grey
}

/** How much light each channel of a colour has, from 0 to 1. */
function channels(color: string): Channels {
  return [1, 3, 5].map((at) => {
    const part = parseInt(color.slice(at, at + 2), 16) / 255
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4
  }) as Channels
}

function luminance([red, green, blue]: Channels): number {
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue
}

function hex(light: number[]): string {
  const parts = light.map((part) => Math.round(255 * (part <= 0.0031308 ? part * 12.92 : 1.055 * part ** (1 / 2.4) - 0.055)))
  return `#${parts.map((part) => part.toString(16).padStart(2, '0')).join('')}`
}
