// The page: a list of projects at /, an editor at /projects/N, how to connect at /connect, or below where the page lies.
import { lazy, Suspense, useSyncExternalStore } from 'react'
import { createRoot } from 'react-dom/client'
import './app.css'
import { addressOf, onNavigate, pathname } from './path.ts'
import { Projects } from './projects.tsx'

// Whoever looks at the list does not wait for the other screens.
const Editor = lazy(() => import('./editor.tsx'))
const Connect = lazy(() => import('../connect/connect.tsx'))

function App() {
  const path = useSyncExternalStore(onNavigate, pathname)
  const project = /^\/projects\/([1-9]\d{0,9})$/.exec(path)
  if (project) return <Suspense><Editor key={project[1]} projectId={Number(project[1])} /></Suspense>
  if (path === '/connect') return <Suspense><Connect /></Suspense>
  if (path === '/') return <Projects />
  return <main className="list"><h1>There is nothing here</h1><p><a href={addressOf('/')}>All projects</a></p></main>
}

createRoot(document.getElementById('root')!).render(<App />)
