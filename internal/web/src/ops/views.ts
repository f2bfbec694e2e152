// Which views are shown, and what can be done about their rows. Every name is one of the schema layercake.
import type { Row } from './ask.ts'

/** A button that calls a function. */
export interface Action {
  function: string
  label: string
  /** What it does, for whoever is about to press it. */
  does: string
  /** Arguments that the row gives. */
  of: (row: Row) => Record<string, string>
  /** Arguments that people give, with what they are at first. */
  asks: Record<string, string>
  /** Whether a row has the button; without a row it stands above the table. */
  fits?: (row: Row) => boolean
}

export interface Section {
  view: string
  title: string
  /** What makes a row another one. */
  key: (row: Row) => string
  /** What it is called in questions about it. */
  name: (row: Row) => string
  columns: string[]
  actions: Action[]
}

const text = (value: unknown): string => String(value ?? '')

const reason = { reason: 'Disconnected by an operator' }

export const sections: Section[] = [
  {
    view: 'replicas', title: 'Replicas', key: (row) => text(row.replica), name: (row) => text(row.address),
    columns: ['address', 'state', 'version', 'sockets', 'subscriptions', 'open_feeds', 'feed_bytes', 'max_lag', 'pool_in_use', 'pool_waits',
      'heartbeat_ms', 'heap_bytes', 'started_at', 'lease_expires_at', 'replica'],
    actions: [
      {
        function: 'drain', label: 'Drain', asks: { spread: '10 s' }, of: (row) => ({ replica: text(row.replica) }), fits: (row) => row.state === 'live',
        does: 'It is taken out of service: health checks fail, its sockets close over this time, and clients go elsewhere. Requests are served as before.',
      },
      {
        function: 'undrain', label: 'Undrain', asks: {}, of: (row) => ({ replica: text(row.replica) }), fits: (row) => row.state === 'draining',
        does: 'It takes sockets again.',
      },
    ],
  },
  { view: 'health', title: 'Health', key: (row) => text(row.check), name: (row) => text(row.check), columns: ['check', 'status', 'detail', 'advice'], actions: [] },
  {
    view: 'projects_live', title: 'Live projects', key: (row) => text(row.project_id), name: (row) => text(row.project),
    columns: ['project_id', 'project', 'people', 'agents', 'connections', 'plan_version', 'changes_1h', 'last_change_at', 'last_change_by'],
    actions: [],
  },
  {
    view: 'who', title: 'Who is where', key: (row) => text(row.connection_id), name: (row) => text(row.user_name),
    columns: ['user_name', 'user_id', 'is_agent', 'project_id', 'project', 'document_id', 'transport', 'idle', 'joined_at', 'replica', 'connection_id'],
    actions: [
      {
        function: 'kick', label: 'Kick', asks: reason, of: (row) => ({ connection_id: text(row.connection_id) }), fits: () => true,
        does: 'This connection closes, and its client is told why. It is no ban: whoever can connect may come back.',
      },
      {
        function: 'kick_user', label: 'Kick user', asks: reason, of: (row) => ({ user_id: text(row.user_id) }), fits: () => true,
        does: 'All connections of this user close, on all replicas, and their clients are told why.',
      },
    ],
  },
  {
    view: 'builds', title: 'Builds', key: (row) => `${text(row.graph_id)} ${text(row.requested_at)}`, name: (row) => text(row.label),
    columns: ['project_id', 'project', 'node_id', 'label', 'state', 'phase', 'done', 'total', 'attempt', 'requested_by', 'requested_at', 'seconds', 'replica',
      'reason', 'error'],
    actions: [{
      function: 'cancel_build', label: 'Cancel', asks: {}, of: (row) => ({ project: text(row.project_id), node: text(row.node_id) }),
      fits: (row) => row.finished_at === null, does: 'The build ends, or leaves the queue. What was built before stays.',
    }],
  },
  {
    view: 'commands', title: 'Commands', key: (row) => text(row.id), name: (row) => text(row.id),
    columns: ['id', 'at', 'issued_by', 'client', 'kind', 'target', 'reason', 'spread', 'acted_at', 'acted_by', 'connections'], actions: [],
  },
  {
    view: 'sessions', title: 'Sessions and tokens of accounts', key: (row) => `${text(row.kind)} ${text(row.id)}`, name: (row) => text(row.username),
    columns: ['kind', 'id', 'username', 'user_id', 'name', 'created_at', 'last_seen_at', 'expires_at', 'address', 'connections'],
    actions: [
      {
        function: 'end_sessions', label: 'End sessions', asks: { reason: 'Ended by an operator' }, of: (row) => ({ account: text(row.user_id) }), fits: () => true,
        does: 'All sessions and tokens of this account end, on all replicas. Who knows the password can sign in again.',
      },
      {
        function: 'disable_user', label: 'Disable an account', of: () => ({}), asks: { account: '', reason: 'Disabled by an operator' },
        does: 'Nobody can sign in to it any more, by its user name or id, and all its sessions and tokens end.',
      },
      {
        function: 'enable_user', label: 'Enable an account', of: () => ({}), asks: { account: '' },
        does: 'People can sign in to it again, by its user name or id. What ended stays so.',
      },
    ],
  },
  {
    view: 'mcp_sessions', title: 'Sessions of agents', key: (row) => text(row.session), name: (row) => text(row.agent),
    columns: ['session', 'client', 'version', 'agent', 'protocol', 'transport', 'streams', 'created_at', 'seen_at', 'scope'], actions: [],
  },
]

/** Functions that write a command, whose id they return. */
export const commanding = ['kick', 'kick_user', 'drain', 'undrain', 'cancel_build']
