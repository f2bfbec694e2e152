// The colours of people, which they choose themselves.

/** What is drawn in somebody's colour, with letters on it that can be read. What is no such colour is grey. */
export function badge(color: string): { background: string; color: string } {
  const background = /^#[0-9a-f]{6}$/i.test(color) ? color : '#57534e'
  // The luminance of WCAG. At 0.179 black and white stand out equally, both enough.
  const [red, green, blue] = [1, 3, 5].map((at) => {
    const part = parseInt(background.slice(at, at + 2), 16) / 255
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4
  }) as [number, number, number]
  return { background, color: 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 ? '#000' : '#fff' }
}
