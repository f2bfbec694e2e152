/** Gives the focus to a part of a dialog when it comes and nothing else in the dialog has it, so that whoever opens it can go on by keys. */
export function takeFocus(element: HTMLElement): void {
  const { activeElement } = document
  if (activeElement === document.body || activeElement?.matches('dialog')) element.focus({ preventScroll: true })
}
