// Scrolling through more rows than an element can be high.

/** Some browsers cap the height of an element at 16.8 million pixels. */
export const highest = 15_000_000

/**
 * Where one is in all rows, by how far an element is scrolled that stands for them, and the other way round. As long as the rows are not too
 * high both are the same; beyond, a pixel of the element stands for several of the rows, and both ends are still where they are.
 */
export class Scale {
  /** The height of what is scrolled. */
  readonly height: number
  /** How many pixels of the rows a pixel of the element is. */
  readonly ratio: number

  /** All is how high the rows are together, seen how much of them is in view. */
  constructor(all: number, seen: number) {
    this.height = Math.min(all, highest)
    this.ratio = all > highest ? (all - seen) / (highest - seen) : 1
  }

  toRows(scrolled: number): number {
    return scrolled * this.ratio
  }

  toElement(offset: number): number {
    return offset / this.ratio
  }
}
