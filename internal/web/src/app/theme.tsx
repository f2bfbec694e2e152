// Light or dark: as the system has it, or as one chose here.
import { useSyncExternalStore } from 'react'
import { recall, remember } from './memory.ts'
import { createStore } from './store.ts'

const themes = ['system', 'light', 'dark'] as const

type Theme = typeof themes[number]

const key = 'layercake-theme'
const theme = createStore<Theme>(themes.find((each) => each === recall(key)) ?? 'system')
const show = () => { document.documentElement.dataset.theme = theme.get() }
show()
theme.subscribe(show)

export function useTheme(): Theme {
  return useSyncExternalStore(theme.subscribe, theme.get)
}

export function ThemeButton() {
  const now = useTheme()
  const choose = () => {
    const next = themes[(themes.indexOf(now) + 1) % themes.length]!
    theme.set(next)
    remember(key, next)
  }
  return <button onClick={choose} title="System, light or dark">Colours: {now}</button>
}
