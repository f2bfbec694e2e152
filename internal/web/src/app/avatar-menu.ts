// What can be done about somebody who is there.
import { afterClick } from './follow.ts'
import { tell, update, type Desk } from './desk.ts'
import type { Author } from './undo-since.ts'

const hour = 60 * 60 * 1_000

/** Opens the menu of a person or an agent, as presence names them. */
export function openAvatarMenu(desk: Desk, { left, top }: { left: number; top: number }, { userId, name }: { userId: string; name: string }): void {
  const { companion } = desk.state.get()
  const follows = companion?.userId === userId && companion.follows
  const go = (times: number) => {
    let next = companion?.userId === userId ? null : companion
    for (let i = 0; i < times; i++) next = afterClick(next, userId)
    update(desk, { companion: next })
  }
  update(desk, {
    menu: {
      name, left, top,
      items: [
        { words: 'Go there', run: () => go(1) },
        follows ? { words: 'Stop following', run: () => update(desk, { companion: null }) } : { words: 'Follow', run: () => go(2) },
        { words: `Undo what ${name} did in the last hour`, run: () => undoAllOf(desk, { name, userId }, new Date(Date.now() - hour)) },
      ],
    },
  })
}

/** Takes back what somebody did since a time. Its script is loaded when somebody asks for it. */
export function undoAllOf(desk: Desk, who: Author, since: Date): void {
  import('./undo-since.ts').then(({ undoSince }) => undoSince(desk, who, since), () => {
    tell(desk, 'This could not be loaded. Try again when the server is there.')
  })
}
