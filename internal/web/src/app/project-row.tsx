// One project of the list: what it is, who is there, and what last became of it.
import type { Project } from './project-list.ts'
import { ScreenLink } from './screen-link.tsx'
import { ago, count, exactly, whoIsIn } from './words.ts'

export function ProjectRow({ project, edit, remove }: { project: Project; edit: () => void; remove: () => void }) {
  const { id, name, description, createdAt, live } = project
  const inIt = whoIsIn(live)
  return (
    <li className="project">
      <div className="about">
        <ScreenLink to={`/projects/${id}`} dir="auto">{name}</ScreenLink>
        {description && <p className="description" dir="auto">{description}</p>}
        <p className="facts">
          {inIt && <strong>{inIt}</strong>}
          {live.lastChangeAt ? (
            <>
              <span>Version {live.planVersion.toLocaleString('en')}</span>
              <span>Changed <Time at={live.lastChangeAt} />{live.lastChangeBy && <> by <bdi>{live.lastChangeBy}</bdi></>}</span>
              {live.changesLastHour > 0 && <span>{count(live.changesLastHour, 'change', 'changes')} in the last hour</span>}
            </>
          ) : <span>Created <Time at={createdAt} />, not changed yet</span>}
        </p>
      </div>
      <div className="actions">
        <button aria-label={`Rename ${name}`} onClick={edit}>Rename</button>
        <button aria-label={`Delete ${name}`} onClick={remove}>Delete</button>
      </div>
    </li>
  )
}

function Time({ at }: { at: string }) {
  const time = new Date(at)
  return <time dateTime={at} title={exactly(time)}>{ago(time)}</time>
}
