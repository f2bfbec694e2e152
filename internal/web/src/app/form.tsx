// The config of a node: as a form that the server's schema describes, and as JSON.
import { useMemo, useState, useSyncExternalStore } from 'react'
import type { PlanNode } from '../client/index.ts'
import { useDesk } from './desk.ts'
import { configField, configOf, configText } from './fields.ts'
import { FieldOf } from './field.tsx'
import { valueAt, type JsonObject } from './json.ts'
import { fieldsOf, othersOf, takes, textOf, type FormField, type ValueField } from './schema.ts'

export function Config({ node }: { node: PlanNode }) {
  const desk = useDesk()
  const rules = useSyncExternalStore(desk.rules.subscribe, desk.rules.get)
  const schema = rules.get(node.nodeType)?.configSchema
  const fields = useMemo(() => fieldsOf(schema), [schema])
  const config = configOf(node.config)
  const [wanted, setWanted] = useState<'form' | 'json'>('form')
  const shown = fields && config ? wanted : 'json'
  return (
    <section className="config" aria-label="Config">
      <header>
        <h3>Config</h3>
        {fields && config && (['form', 'json'] as const).map((view) => (
          <button key={view} aria-pressed={shown === view} onClick={() => setWanted(view)}>{view === 'form' ? 'Form' : 'JSON'}</button>
        ))}
      </header>
      {!config && <p className="hint">The config is no JSON object.</p>}
      {config && !fields && <p className="hint">This page has no form for what this server knows, so the config is shown as JSON.</p>}
      {shown === 'form' && fields && config
        ? <><Fields node={node} config={config} fields={fields} /><Others fields={fields} config={config} /></>
        : <FieldOf element={node} field={configText} shape="code" hint="Ctrl+Enter saves." />}
    </section>
  )
}

function Fields({ node, config, fields }: { node: PlanNode; config: JsonObject; fields: readonly FormField[] }) {
  return fields.filter((field) => takes(field, valueAt(config, field.path))).map((field) => {
    const key = field.path.join(' ')
    if (field.kind !== 'group') return <Value key={key} node={node} config={config} field={field} />
    return (
      <fieldset key={key}>
        <legend>{field.path.at(-1)}</legend>
        {field.description && <p className="hint">{field.description}</p>}
        <Fields node={node} config={config} fields={field.fields} />
      </fieldset>
    )
  })
}

function Value({ node, config, field }: { node: PlanNode; config: JsonObject; field: ValueField }) {
  const { path, kind, description, fallback, choices } = field
  const saver = useMemo(() => configField(field), [field])
  const now = textOf(valueAt(config, path))
  const options = kind === 'choice' ? optionsOf(choices.map(textOf), now, fallback) : undefined
  const inputMode = kind === 'integer' ? 'numeric' : kind === 'number' ? 'decimal' : undefined
  return (
    <FieldOf
      element={node} field={saver} label={path.at(-1)!} hint={description}
      {...(options ? { options } : { placeholder: fallback, inputMode })}
    />
  )
}

/** All choices, with none, and with one that is there although the schema does not know it. */
function optionsOf(choices: readonly string[], now: string, fallback: string | undefined): [string, string][] {
  const unknown = now === '' || choices.includes(now) ? [] : [now]
  const none = fallback === undefined ? 'Not set' : `Not set: ${fallback} by default`
  return [['', none], ...[...choices, ...unknown].map((choice): [string, string] => [choice, choice])]
}

/** More keys are counted. */
const mostNamed = 20

/** What the config has beside the form's fields. */
function Others({ fields, config }: { fields: readonly FormField[]; config: JsonObject }) {
  const others = othersOf(fields, config).map((path) => path.join(' › '))
  if (others.length === 0) return null
  const more = others.length - mostNamed
  return <p className="hint others">Also: {others.slice(0, mostNamed).join(', ')}{more > 0 && ` and ${more} more`}. Change these as JSON.</p>
}
