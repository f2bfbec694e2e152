import{n as e}from"./rolldown-runtime-WkwZ5CU-.js";import{A as t,N as n,_ as r,f as i,g as a,j as o,l as s,m as c,o as l,r as u,s as d,v as f,z as p}from"./list-Clq7IGf5.js";var m=e(p(),1),h=`# Questions that DBAs ask

The schema \`layercake\` answers them, and takes commands. Its views and functions are a contract: columns are only added, at the end.
Tables elsewhere are private. A test runs every statement of this page against three replicas.

Whoever asks needs a role that the owner of the schema has let in, once, and again after an upgrade:

\`\`\`sql
CREATE ROLE dashboards LOGIN;
SELECT layercake.grant_reader('dashboards');
\`\`\`

\`\`\`text
 grant_reader
--------------

\`\`\`

\`\`\`sql
CREATE ROLE oncall LOGIN;
SELECT layercake.grant_operator('oncall');
\`\`\`

\`\`\`text
 grant_operator
----------------

\`\`\`

A reader sees all views, and may call \`plan_at\`, \`plan_diff\` and \`verify_plan\`. An operator may call \`kick\`, \`kick_user\`, \`drain\`,
\`undrain\`, \`cancel_build\`, \`end_sessions\`, \`disable_user\` and \`enable_user\`, too.

\`/ops\` at the admin address of any replica (http://127.0.0.1:3100/ops) shows these views and calls these functions, as the role of the replica.

## 1. Who is in project 7?

One row a connection: two tabs are two rows. People on a replica that died are not here, even before anybody removed them.

\`\`\`sql
SELECT user_name, user_id, is_agent, document_id, selected_node_id, joined_at, idle FROM layercake.who WHERE project_id = 7 ORDER BY user_name;
\`\`\`

\`\`\`text
 user_name | user_id | is_agent | document_id     | selected_node_id | joined_at                     | idle
-----------+---------+----------+-----------------+------------------+-------------------------------+-----------------
 Ann       | ann     | f        | plan-dag-canvas |                  | 2026-11-30 03:56:56.274913+00 | 00:00:00.439347
 Bob       | bob     | f        | plan-dag-canvas |                  | 2026-11-30 03:56:56.278984+00 | 00:00:00.435276
 Bob       | bob     | f        | plan-dag-canvas |                  | 2026-11-30 03:56:56.277099+00 | 00:00:00.437161
 Cleo      | cleo    | f        | plan-dag-canvas |                  | 2026-11-30 03:56:56.278612+00 | 00:00:00.435648
\`\`\`

\`user_id\` is what the client says; every canvas of the existing client says \`anonymous\`.

## 2. Who does nothing?

\`idle\` is as of the last word of the client, which may be a minute old. A browser in the background still answers pings, and is not idle.

\`\`\`sql
SELECT user_name, project, idle, connection_id FROM layercake.who ORDER BY idle DESC LIMIT 5;
\`\`\`

\`\`\`text
 user_name | project | idle            | connection_id
-----------+---------+-----------------+--------------------------------------
 Ann       | Glacier | 00:00:00.440314 | 596683c7-a676-4207-b269-2c428a3fb730
 Bob       | Glacier | 00:00:00.438128 | c83d1aae-77e7-455e-8f1b-3a19ec2fb76c
 Cleo      | Glacier | 00:00:00.436615 | f9e69052-7ad9-47b0-b32c-8247215bd78d
 Bob       | Glacier | 00:00:00.436243 | ee60cd10-a64a-41fc-83da-dde59a3c9977
\`\`\`

## 3. Which replica serves Ann?

\`\`\`sql
SELECT w.user_name, w.transport, r.address, r.state, r.version, r.sockets
FROM layercake.who w JOIN layercake.replicas r USING (replica) WHERE w.user_name = 'Ann';
\`\`\`

\`\`\`text
 user_name | transport     | address         | state | version | sockets
-----------+---------------+-----------------+-------+---------+---------
 Ann       | collaboration | 127.0.0.1:37203 | live  | test    | 2
\`\`\`

## 4. How are the replicas?

A replica renews its lease, and these figures, each second. \`stale\` ones did not for five, and are about to be removed.

\`\`\`sql
SELECT address, state, version, sockets, subscriptions, open_feeds, max_lag, pool_in_use, heartbeat_ms, pg_size_pretty(heap_bytes) AS heap
FROM layercake.replicas ORDER BY address;
\`\`\`

\`\`\`text
 address         | state | version | sockets | subscriptions | open_feeds | max_lag | pool_in_use | heartbeat_ms | heap
-----------------+-------+---------+---------+---------------+------------+---------+-------------+--------------+---------
 127.0.0.1:34741 | live  | test    | 1       | 0             | 0          | 0       | 0           |              | 4404 kB
 127.0.0.1:36949 | live  | test    | 1       | 0             | 0          | 0       | 0           |              | 4423 kB
 127.0.0.1:37203 | live  | test    | 2       | 0             | 0          | 0       | 0           |              | 4384 kB
\`\`\`

## 5. Which projects are busy?

\`\`\`sql
SELECT project, people, agents, connections, plan_version, changes_1h, last_change_by FROM layercake.projects_live
ORDER BY changes_1h DESC, connections DESC LIMIT 3;
\`\`\`

\`\`\`text
 project     | people | agents | connections | plan_version | changes_1h | last_change_by
-------------+--------+--------+-------------+--------------+------------+----------------
 Glacier     | 3      | 0      | 4           | 5            | 2          | Anonymous User
 Cartography | 0      | 0      | 0           | 0            | 0          |
 Borealis    | 0      | 0      | 0           | 0            | 0          |
\`\`\`

## 6. What changed in the last hour, and by whom?

\`operations\` has the values before and after.

\`\`\`sql
SELECT project_id, version, at, actor_name, via, summary, note FROM layercake.plan_history
WHERE at > now() - interval '1 hour' ORDER BY at DESC LIMIT 20;
\`\`\`

\`\`\`text
 project_id | version | at                            | actor_name     | via     | summary         | note
------------+---------+-------------------------------+----------------+---------+-----------------+------
 7          | 5       | 2026-11-30 03:56:56.263861+00 | Anonymous User | graphql | removed node n1 |
 7          | 4       | 2026-11-30 03:56:56.260783+00 | Anonymous User | graphql | updated node n2 |
\`\`\`

## 7. Who was here since yesterday?

The log is kept for 30 days. \`left_at\` is null while somebody is still here.

\`\`\`sql
SELECT user_name, project_id, joined_at, left_at, reason FROM layercake.presence_log
WHERE joined_at > date_trunc('day', now()) - interval '1 day' ORDER BY joined_at DESC LIMIT 20;
\`\`\`

\`\`\`text
 user_name | project_id | joined_at                     | left_at | reason
-----------+------------+-------------------------------+---------+--------
 Bob       | 7          | 2026-11-30 03:56:56.278984+00 |         |
 Cleo      | 7          | 2026-11-30 03:56:56.278612+00 |         |
 Bob       | 7          | 2026-11-30 03:56:56.277099+00 |         |
 Ann       | 7          | 2026-11-30 03:56:56.274913+00 |         |
\`\`\`

## 8. Is everything well?

\`\`\`sql
SELECT * FROM layercake.health;
\`\`\`

\`\`\`text
 check         | status | detail                                                                     | advice
---------------+--------+----------------------------------------------------------------------------+--------------------------------------------------------------
 database      | ok     | PostgreSQL 15.18 (Debian 15.18-0+deb12u1), up since 2026-11-30 03:56:55+00 |
 durability    | fail   | fsync, full_page_writes off                                                | A crash of the machine can destroy the database: turn it on.
 schema        | ok     | migration 12; binaries must know migration 4                               |
 replicas      | ok     | 3 live: 127.0.0.1:34741, 127.0.0.1:36949, 127.0.0.1:37203                  |
 versions      | ok     | test                                                                       |
 wire          | ok     | sealed                                                                     |
 draining      | ok     | no replica                                                                 |
 listeners     | ok     | 3 for 3 live replicas                                                      |
 connections   | ok     | 22 of 397 in use, 21 by replicas                                           |
 notifications | ok     | 0.0 % of the queue in use                                                  |
 locks         | ok     | 0 sessions wait, 0 for longer than 1 s                                     |
 transactions  | ok     | none runs                                                                  |
 vacuum        | ok     | dead rows: heads 0, presence 0, replicas 0                                 |
 log           | ok     | the longest has 5 events                                                   |
 presence      | ok     | 4 connections                                                              |
 commands      | ok     | all acted on                                                               |
 inbox         | ok     | 0 messages to agents wait                                                  |
 builds        | ok     | 1 under way, 0 wait                                                        |
 storage       | ok     | graphs 0 bytes, files 0 bytes                                              |
\`\`\`

(This is a server for tests, whose disks do not matter.) \`layercake doctor\` prints the same rows and exits with 1 when one says \`fail\`; \`GET /health?verbose\` at the admin address of any replica has them as \`diagnosis\`.
They need no privileges beyond reading, but sessions of other roles are hidden from them unless the owner of the schema is a member of
\`pg_read_all_stats\`. (\`check\` is a word of SQL: to name the column, quote it.)

## 9. What did the plan look like on Monday?

\`plan_at\` is the plan as \`getPlanDag\` answered at a time, or after a version: \`version\`, \`nodes\` and \`edges\` in their order, \`metadata\`.

\`\`\`sql
SELECT node ->> 'id' AS id, node ->> 'nodeType' AS type, node -> 'metadata' ->> 'label' AS label, node -> 'position' AS position
FROM jsonb_array_elements(layercake.plan_at(7, now() - interval '3 days') -> 'nodes') node;
\`\`\`

\`\`\`text
 id | type      | label     | position
----+-----------+-----------+------------------
 n0 | GraphNode | Customers | {"x": 0, "y": 0}
 n1 | GraphNode | Orders    | {"x": 0, "y": 0}
 n2 | GraphNode | Sales     | {"x": 0, "y": 0}
\`\`\`

The beginning of Monday is \`date_trunc('week', now())\`. A time that is a text needs its name: \`plan_at(7, at => '2026-11-23 09:00')\`. And what
became of it since? One row for each node and edge that is not as it was, and for the plan's record:

\`\`\`sql
SELECT kind, id, parts, before -> 'metadata' ->> 'label' AS was, after -> 'metadata' ->> 'label' AS "is", versions, actor_names
FROM layercake.plan_diff(7, (layercake.plan_at(7, now() - interval '3 days') ->> 'version')::bigint);
\`\`\`

\`\`\`text
 kind         | id | parts      | was    | is              | versions | actor_names
--------------+----+------------+--------+-----------------+----------+--------------------
 NODE_REMOVED | n1 | {}         | Orders |                 | {5}      | {"Anonymous User"}
 NODE_UPDATED | n2 | {metadata} | Sales  | Sales by region | {4}      | {"Anonymous User"}
\`\`\`

Both reach as far back as the log, 7 days unless it is set otherwise; a version or a time before that is an error that names the oldest. They
answer on a hot standby, too, with what it has replayed.

## 10. Who deleted this node?

The history has it, as long as the log is kept. \`undone_by\` is the change that brought it back.

\`\`\`sql
SELECT version, at, actor_name, actor_id, client_id, via, undone_by, operation -> 'before' -> 'metadata' ->> 'label' AS label
FROM layercake.plan_history CROSS JOIN json_array_elements(operations) operation
WHERE project_id = 7 AND operation ->> 'kind' = 'NODE_REMOVED' AND operation ->> 'id' = 'n1' ORDER BY version DESC;
\`\`\`

\`\`\`text
 version | at                            | actor_name     | actor_id                             | client_id | via     | undone_by | label
---------+-------------------------------+----------------+--------------------------------------+-----------+---------+-----------+--------
 5       | 2026-11-30 03:56:56.263861+00 | Anonymous User | 7fd38304-d7de-5ff8-9f84-8dcfc31f32ba | tab-4711  | graphql |           | Orders
\`\`\`

## 11. Is this plan whole?

Each row is a check, as in \`layercake.health\`. It reads the whole log of the project, and holds no lock: ask while people work, or ask a standby.

\`\`\`sql
SELECT * FROM layercake.verify_plan(7);
\`\`\`

\`\`\`text
 check       | status | detail                                     | advice
-------------+--------+--------------------------------------------+--------
 versions    | ok     | 5 events up to version 5                   |
 head        | ok     | version 5 with hash ffc63b2b, as its event |
 events      | ok     | all as they were written                   |
 rows        | ok     | as 5 events say                            |
 ordinals    | ok     | with their gaps they are an order          |
 edges       | ok     | 0 with two ends of their own               |
 cycles      | ok     | none                                       |
 checkpoints | ok     | 0, as they were written                    |
\`\`\`

\`rows\` compares what is in the tables with what the newest checkpoint and the events since then say, so it finds what somebody changed by hand.

## 12. What was proposed, and who decided?

Whoever accepts makes the change: \`version\` is its version in \`plan_history\`. Decided proposals are kept for 30 days.

\`\`\`sql
SELECT id, status, by_name, by_kind, created_at, note, decided_by_name, version FROM layercake.proposals
WHERE project_id = 7 ORDER BY id DESC LIMIT 20;
\`\`\`

\`\`\`text
 id | status   | by_name | by_kind | created_at                    | note            | decided_by_name | version
----+----------+---------+---------+-------------------------------+-----------------+-----------------+---------
 2  | OPEN     | Planner | agent   | 2026-11-30 03:56:56.263861+00 | Orders by month |                 |
 1  | REJECTED | Planner | agent   | 2026-11-30 03:56:56.263861+00 | Split the sales | Ann             |
\`\`\`

## 13. Which agents have sessions, and what may they do?

\`scope\` is how the address narrowed the session that its client opened; empty for everything. Agents of the protocol of 2026 have no sessions.

\`\`\`sql
SELECT session, client, agent, protocol, transport, streams, scope FROM layercake.mcp_sessions ORDER BY seen_at DESC LIMIT 20;
\`\`\`

\`\`\`text
 session  | client  | agent   | protocol   | transport | streams | scope
----------+---------+---------+------------+-----------+---------+--------------------------
 5e55104a | Planner | Planner | 2025-11-25 | http      | 0       | read_only=true&project=7
\`\`\`

## 14. How do I disconnect somebody?

One connection, such as the tab that was forgotten:

\`\`\`sql
SELECT layercake.kick(connection_id, 'Your tab at the office is still open') FROM layercake.who WHERE user_name = 'Bob' ORDER BY idle DESC LIMIT 1;
\`\`\`

\`\`\`text
 kick
------
 1
\`\`\`

All connections of a user id, on all replicas:

\`\`\`sql
SELECT layercake.kick_user('cleo', 'Please call the help desk');
\`\`\`

\`\`\`text
 kick_user
-----------
 2
\`\`\`

The socket closes within a second, with code 4000 and the beginning of the reason (a close frame holds 123 bytes); everybody else sees them
leave. It is no ban: in open mode whoever can connect may come back. The existing client does, after 1, 2, 4 s, since the code is not 1000;
it does not join again, but when its user moves the cursor in a canvas it is in the project again, as \`anonymous\`. GraphQL sockets belong to
nobody in open mode, and stay. Guests came by requests (\`replica\` is null). Kicked, they are gone for everybody, and the streams of their
client are closed; they are there again with its next call. By themselves they go 90 s after they last did something. An unknown
connection or user is an error that says so.

## 15. How do I take a replica out of service, for an upgrade?

Name it by its address, or by as much of its id as no other has:

\`\`\`sql
SELECT layercake.drain(address, '2 s') FROM layercake.replicas ORDER BY started_at LIMIT 1;
\`\`\`

\`\`\`text
 drain
-------
 3
\`\`\`

Within a second it answers 503 to health checks, with the reason, so that the balancer turns away. After a fifth of the time it closes its
sockets, evenly over the rest of it, with code 1012 and a pause to wait, and refuses new ones; their clients go elsewhere. Plain requests are
served as before. \`state\` says \`draining\`, and it stays so until the replica ends or somebody says:

\`\`\`sql
SELECT layercake.undrain(address) FROM layercake.replicas ORDER BY started_at LIMIT 1;
\`\`\`

\`\`\`text
 undrain
---------
 4
\`\`\`

SIGTERM drains by itself: this is for looking first, or for keeping a replica as it is.

## 16. What is built, and how far is it?

One row for all who asked for a graph before a replica began to build it; what ended is kept for 30 days. \`reason\` says why it was stale. A build
whose replica died is \`pending\` until another one takes it.

\`\`\`sql
SELECT project, label, state, phase, done, total, attempt, left(replica, 8) AS replica, requested_by, seconds, reason, error
FROM layercake.builds ORDER BY finished_at DESC NULLS FIRST LIMIT 20;
\`\`\`

\`\`\`text
 project | label     | state      | phase   | done   | total  | attempt | replica  | requested_by | seconds | reason                     | error
---------+-----------+------------+---------+--------+--------+---------+----------+--------------+---------+----------------------------+-------
 Glacier | Customers | processing | writing | 250000 | 481354 | 1       | 07c7fd0c | Bob          | 3.876   | customers.csv was replaced |
 Glacier | Customers | completed  |         |        |        | 1       | e69b0766 | Ann          | 8.000   | it was never built         |
\`\`\`

One that takes too much can be ended. What was built before stays, and so does the plan:

\`\`\`sql
SELECT layercake.cancel_build(project_id, node_id) FROM layercake.builds WHERE state = 'processing' ORDER BY seconds DESC LIMIT 1;
\`\`\`

\`\`\`text
 cancel_build
--------------
 5
\`\`\`

## 17. Which files take most space, and who uses them?

\`sha256\` is what \`sha256sum\` says of the file. A file that no node uses stays until somebody deletes its data source.

\`\`\`sql
SELECT project, name, filename, kind, rows, bytes, problems, left(sha256, 8) AS sha256, used_by
FROM layercake.data_sources ORDER BY bytes DESC LIMIT 20;
\`\`\`

\`\`\`text
 project | name      | filename      | kind  | rows   | bytes    | problems | sha256   | used_by
---------+-----------+---------------+-------+--------+----------+----------+----------+---------
 Glacier | Orders    | orders.csv    | edges | 400120 | 21961234 | 0        | 0b14d501 | {}
 Glacier | Customers | customers.csv | nodes | 81234  | 5961234  | 0        | 5e884898 | {}
\`\`\`

## 18. Who is signed in, and by what?

One row a session of a person or token of a program, until a week after its end. No row has a secret. \`connections\` is what it has in projects now.

\`\`\`sql
SELECT kind, id, username, name, address, expires_at - now() AS left, ended_by, connections FROM layercake.sessions ORDER BY created_at, kind LIMIT 20;
\`\`\`

\`\`\`text
 kind    | id | username | name           | address   | left                    | ended_by | connections
---------+----+----------+----------------+-----------+-------------------------+----------+-------------
 session | 1  | ann      |                | 192.0.2.7 | 19:59:59.157468         |          | 0
 session | 2  | cleo     |                | 192.0.2.7 | 19:59:59.157468         |          | 0
 token   | 1  | cleo     | Nightly import |           | 29 days 23:59:59.158566 |          | 0
\`\`\`

## 19. Who may what?

In open mode everybody may everything; these rows count once \`LAYERCAKE_AUTH\` is \`required\`.

\`\`\`sql
SELECT project, username, role, status, invited_by, has_right FROM layercake.members ORDER BY project, username LIMIT 20;
\`\`\`

\`\`\`text
 project | username | role   | status   | invited_by | has_right
---------+----------+--------+----------+------------+-----------
 Glacier | ann      | owner  | accepted |            | t
 Glacier | cleo     | editor | accepted | ann        | t
\`\`\`

## 20. How do I end what somebody has, or lock an account?

Give the id of the account, or its user name. Sessions and tokens end at once on all replicas, and their sockets close within seconds. Who
knows the password can sign in again:

\`\`\`sql
SELECT layercake.end_sessions('cleo', 'Laptop stolen');
\`\`\`

\`\`\`text
 end_sessions
--------------
 2
\`\`\`

Nobody can sign in to a disabled account. What ended stays so when it is enabled again:

\`\`\`sql
SELECT layercake.disable_user('cleo', 'Left the company');
\`\`\`

\`\`\`text
 disable_user
--------------

\`\`\`

\`\`\`sql
SELECT layercake.enable_user('cleo');
\`\`\`

\`\`\`text
 enable_user
-------------

\`\`\`

\`kick_user\` takes an account, too, but ends nothing: its sockets close, and its programs may come back.

## 21. What happened to accounts?

Sign-ins, failures, ends, tokens, limits that were met; for 90 days. Refusals are written once a minute and network at most.

\`\`\`sql
SELECT event, username, by_whom, address, detail FROM layercake.security_log ORDER BY id DESC LIMIT 20;
\`\`\`

\`\`\`text
 event            | username | by_whom       | address | detail
------------------+----------+---------------+---------+-------------------------------------------
 account_enabled  | cleo     | role postgres |         |
 session_ended    | cleo     | role postgres |         | 0 sessions and 0 tokens: Left the company
 account_disabled | cleo     | role postgres |         | Left the company
 session_ended    | cleo     | role postgres |         | 1 sessions and 1 tokens: Laptop stolen
\`\`\`

## And who did that?

Every command is kept for a year, with the role that had logged in, and what came of it. \`client\` is where it came from: the address of the browser in
which somebody pressed a button of \`/ops\`, or that of the session of SQL, null for one on the server itself. A session can say otherwise by the
setting \`layercake.client\`; \`issued_by\` it cannot change.

\`\`\`sql
SELECT id, issued_by, client, kind, target, acted_at - at AS took, acted_by, connections FROM layercake.commands ORDER BY id DESC LIMIT 20;
\`\`\`

\`\`\`text
 id | issued_by | client    | kind      | target                               | took            | acted_by                                          | connections
----+-----------+-----------+-----------+--------------------------------------+-----------------+---------------------------------------------------+-------------
 4  | postgres  | 127.0.0.1 | undrain   | 127.0.0.1:37203                      | 00:00:00.242953 | {127.0.0.1:37203}                                 | 0
 3  | postgres  | 127.0.0.1 | drain     | 127.0.0.1:37203                      | 00:00:00.230933 | {127.0.0.1:37203}                                 | 2
 2  | postgres  | 127.0.0.1 | kick_user | cleo                                 | 00:00:00.201559 | {127.0.0.1:37203,127.0.0.1:36949,127.0.0.1:34741} | 1
 1  | postgres  | 127.0.0.1 | kick      | c83d1aae-77e7-455e-8f1b-3a19ec2fb76c | 00:00:00.008291 | {127.0.0.1:34741}                                 | 1
\`\`\`

A command that no replica saw within a minute is not acted on any more; \`layercake.health\` says so. A drain stands.
`,g={"```sql":`sql`,"```text":`answer`};function _(e){return e.split(/^#{1,2} /m).slice(1).map((e,t)=>{let[n,...r]=e.split(`
`),i=[...r.join(`
`).matchAll(/^(```\w+)\n([^]*?)^```$|^(?!```)\S[^]*?(?=\n\n|\n?(?![^]))/gm)].map(([e,t,n])=>t===void 0?{kind:`text`,text:e.replaceAll(`
`,` `)}:{kind:g[t]??`answer`,text:n.trimEnd()});return{title:t===0?``:n,blocks:i}})}var v=7;function y(e,t){return t===null?e:e.replace(new RegExp(String.raw`(project_id = |plan_at\(|plan_diff\(|verify_plan\(|project )${v}\b`,`g`),`$1${t}`)}function b(e){return e.split("`")}var x={posix:/^[\w@%+=:,./-]+$/,powershell:/^[\w:./-]+$/};function S(e,t){return x[t].test(e)?e:t===`posix`?`'${e.replaceAll(`'`,String.raw`'\''`)}'`:`'${e.replace(/['‘’‚‛]/g,`$&$&`)}'`}function C(e,t){let n=t===`posix`?` \\
  `:` \`
  `;return e.filter(e=>e.length>0).map(e=>e.map(e=>S(e,t)).join(` `)).join(n)}function ee(e,t,n){return n===`posix`?`export ${e}=${S(t,n)}`:`$env:${e} = '${t.replace(/['‘’‚‛]/g,`$&$&`)}'`}function w(e){return`'${JSON.stringify(e).slice(1,-1).replaceAll(String.raw`\"`,`"`).replaceAll(`'`,String.raw`\'`).replaceAll(`<`,String.raw`\u003c`).replaceAll(`\u2028`,String.raw`\u2028`).replaceAll(`\u2029`,String.raw`\u2029`)}'`}function T(e){return JSON.stringify(e.toWellFormed()).replaceAll(``,String.raw`\u007f`)}function E(e){return JSON.stringify(e,null,2)}var D=[`projects`,`plans`,`data`,`graphs`,`people`];function O({origin:e,project:t,readOnly:n,toolsets:r}){let i=new URLSearchParams;n&&i.set(`read_only`,`true`),t!==null&&i.set(`project`,String(t)),r.length<D.length&&i.set(`toolsets`,r.join(`,`));let a=i.toString().replaceAll(`%2C`,`,`);return`${e}/mcp${a&&`?${a}`}`}function k(e){return/^[\x20-\x7e]*$/.test(e)}function A({token:e,agent:t}){return{...e!==null&&{Authorization:`Bearer ${e}`},...t!==``&&k(t)&&{"X-Layercake-Agent":t}}}function j({token:e,person:t}){return{...e!==null&&{Authorization:`Bearer ${e}`},...e===null&&t!==null&&{"X-Layercake-Name":encodeURIComponent(t.toWellFormed())}}}function te({project:e}){return e===null?`layercake`:`layercake-${e}`}function ne(e){let{agent:t,token:n,shell:r}=e,i=te(e),a=O(e),o=A(e),s=e=>Object.entries(o).map(([t,n])=>[e,`${t}: ${n}`]),c={url:a,...Object.keys(o).length>0&&{headers:o}},l={command:`layercake`,args:[`mcp`,`--url`,a,...t===``?[]:[`--name=${t}`]],...n!==null&&{env:{LAYERCAKE_TOKEN:n}}};return[{id:`agents-claude-code`,title:`Claude Code`,where:`In a terminal, in the folder that you work in`,text:C([[`claude`,`mcp`,`add`,`--transport`,`http`,i,a],...s(`--header`)],r)},{id:`agents-claude-desktop`,title:`Claude Desktop`,where:`claude_desktop_config.json (Settings, Developer, Edit Config). It starts layercake, the program that serves this page, by its name where commands are looked for, or by its whole path in the place of the name.`,text:E({mcpServers:{[i]:l}})},{id:`agents-cursor`,title:`Cursor`,where:`~/.cursor/mcp.json`,text:E({mcpServers:{[i]:c}})},{id:`agents-vs-code`,title:`VS Code`,where:`.vscode/mcp.json`,text:E({servers:{[i]:{type:`http`,...c}}})},{id:`agents-codex`,title:`Codex CLI`,where:`~/.codex/config.toml`,text:[`[mcp_servers.${i}]`,`url = ${T(a)}`,...Object.keys(o).length>0?[`http_headers = { ${Object.entries(o).map(([e,t])=>`${T(e)} = ${T(t)}`).join(`, `)} }`]:[]].join(`
`)},{id:`agents-gemini`,title:`Gemini CLI`,where:`In a terminal`,text:C([[`gemini`,`mcp`,`add`,`--scope`,`user`,`--transport`,`http`],...s(`--header`),[i,a]],r)},{id:`agents-inspector`,title:`MCP Inspector`,where:`In a terminal, with Node 22 or later`,text:C([[`npx`,`@modelcontextprotocol/inspector`,`--cli`,a,`--transport`,`http`,`--method`,`tools/list`],...s(`--header`)],r)},{id:`agents-other`,title:`Any other client`,where:`Its list of servers, as most of them have it`,text:E({mcpServers:{[i]:{type:`http`,...c}}})}]}function M({origin:e,token:t,person:n}){let r=[`url: ${w(e)}`];return t===null?n!==null&&r.push(`name: ${w(n)}`):r.push(`token: ${w(t)}`),`{ ${r.join(`, `)} }`}var N=e=>Object.entries(j(e)).map(([e,t])=>[`-H`,`${e}: ${t}`]);function re(e){let{origin:t,project:n,shell:r}=e,i=w(`${t}/client/index.js`);return[{id:`client-install`,title:`The client as a package`,where:`In a terminal; it comes with its types, and needs no other package`,text:C([[`npm`,`install`,`${t}/client/layercake-client.tgz`]],r)},{id:`client-use`,title:`Ask something`,where:`A module, such as ask.mjs`,text:[`import { connect } from 'layercake-client'`,``,`const layercake = await connect(${M(e)})`,`const { projectList } = await layercake.request('{ projectList(first: 5) { projects { id name } } }', {})`,`console.log(projectList.projects)`].join(`
`)},{id:`client-page`,title:`A page without a build`,where:`A file such as index.html, served from an origin that may call`,text:[`<!doctype html>`,`<meta charset="utf-8">`,`<title>A plan</title>`,`<ul></ul>`,`<script type="module">`,`  import { connect } from ${i}`,`  const layercake = await connect(${M(e)})`,`  const plan = layercake.plan(${n??1})`,`  plan.subscribe(() => {`,`    const nodes = [...plan.snapshot().plan?.nodes.values() ?? []]`,`    document.querySelector('ul').replaceChildren(...nodes.map(({ metadata }) => Object.assign(document.createElement('li'), { textContent: metadata.label })))`,`  })`,`<\/script>`].join(`
`)},{id:`schema`,title:`The schema`,where:`In a terminal; tools generate code from it`,text:C([[`curl`,`-sSf`,`-o`,`schema.graphql`,`${t}/schema.graphql`],...N(e)],r)}]}function P({project:e}){return e===null?{query:`{ projectList(first: 5) { projects { id name live { planVersion people agents } } } }`,variables:{}}:{query:`query ($project: Int!) { getPlanDag(projectId: $project) { version nodes { id nodeType metadata { label } } edges { source target } } }`,variables:{project:e}}}function ie({project:e,opId:t}){return e===null?{query:`mutation ($input: CreateProjectInput!) { createProject(input: $input) { id name } }`,variables:{input:{name:`By a program`}}}:{query:`mutation ($project: Int!, $edits: [PlanEdit!]!, $opId: String) { editPlan(projectId: $project, edits: $edits, opId: $opId) { version } }`,variables:{project:e,edits:[{addNode:{id:`node_${t.slice(0,8)}`,nodeType:`GraphNode`,position:{x:0,y:0},metadata:{label:`By a program`},config:`{}`}}],opId:t}}}var F=`subscription ($project: Int!) { planEvents(projectId: $project) { version actorName operations { kind id } } }`;function ae(e){let{origin:t,project:n,shell:r}=e,i=n=>C([[`curl`,`-sS`,`${t}/graphql`,`-H`,`Content-Type: application/json`],...N(e),[`-d`,JSON.stringify(n)]],r);return[{id:`graphql-query`,title:`A query`,where:`In a terminal`,text:i(P(e))},{id:`graphql-mutation`,title:`A mutation`,where:`In a terminal`,text:i(ie(e))},{id:`graphql-subscription`,title:`A subscription`,where:`A module beside the client as a package, such as follow.mjs, with Node 22 or later`,text:[`import { connect } from 'layercake-client'`,``,`const layercake = await connect(${M(e)})`,`layercake.socket.follow(`,`  ${w(F)},`,`  () => ({ project: ${n??1} }),`,`  ({ planEvents }) => console.log(JSON.stringify(planEvents)),`,`  (failure) => console.error(failure.message),`,`)`].join(`
`)}]}function oe(e){let{origin:t,project:n,token:r,shell:i}=e,a=String(n??1),o=(...e)=>[...r===null?[]:[ee(`LAYERCAKE_TOKEN`,r,i)],C([[`layercake`,...e,`--url`,t]],i)].join(`
`);return[{id:`terminal-watch`,title:`Watch a plan`,where:`One change a line, as JSON, until ^C`,text:o(`watch`,a)},{id:`terminal-history`,title:`Read its history`,where:`Newest first`,text:o(`history`,a)},{id:`terminal-undo`,title:`Take a change back`,where:`By its version in the history; this only says what would be, but for what others touched since`,text:o(`undo`,a,`1`,`--dry-run`,`--on-conflict=skip`)}]}function I({shell:e}){return{id:`sql-psql`,title:`psql`,where:`In a terminal`,text:e===`posix`?`psql "$LAYERCAKE_DATABASE_URL"`:`${S(`psql`,e)} $env:LAYERCAKE_DATABASE_URL`}}function se(e){let{protocol:t,hostname:n}=new URL(e);return/^(localhost|.*\.localhost|127(\.\d{1,3}){3}|\[::1\])$/.test(n)?`this machine`:t===`https:`?`encrypted`:`in the clear`}var L=4e3,ce=1e4;function R(e){let t=e;try{t=JSON.stringify(JSON.parse(e),null,2)}catch{}return t.length>L?`${t.slice(0,L)}\n… (${(t.length-L).toLocaleString(`en`)} more characters)`:t}async function z(e,t,n,r,i,a){let o=performance.now(),s=()=>Math.round(performance.now()-o);try{let o=await fetch(t,{...r,signal:AbortSignal.any([a,AbortSignal.timeout(ce)]),credentials:n.token===null?`same-origin`:`omit`}),c=await o.text();return i({of:e,status:`${o.status} ${o.statusText}`.trim(),took:s(),text:R(c)}),o}catch(t){return a.aborted||i({of:e,status:`No answer`,took:s(),text:c(t)}),null}}var le=async(e,t,n)=>{await z(`The query`,`/graphql`,e,{method:`POST`,headers:{...j(e),"content-type":`application/json`},body:JSON.stringify(P(e))},t,n)},ue=async(e,t,n)=>{await z(`The schema`,`/schema.graphql`,e,{headers:j(e)},t,n)},B=`2025-06-18`,V=async(e,t,n)=>{let{pathname:r,search:i}=new URL(O(e)),a={...A(e),"content-type":`application/json`,accept:`application/json, text/event-stream`},o=(e,t,n,r)=>({method:`POST`,headers:{...a,...n},body:JSON.stringify({jsonrpc:`2.0`,...r!==void 0&&{id:r},method:e,params:t})}),s={protocolVersion:B,capabilities:{},clientInfo:{name:`Connect page`,version:`1`}},c=await z(`initialize`,r+i,e,o(`initialize`,s,{},1),t,n),l=c?.headers.get(`mcp-session-id`);if(!c?.ok||!l)return;let u={"mcp-session-id":l,"mcp-protocol-version":B},d=()=>{};try{await z(`notifications/initialized`,r+i,e,o(`notifications/initialized`,{},u),d,n),await z(`tools/list`,r+i,e,o(`tools/list`,{},u,2),t,n)}finally{await z(`end`,r+i,e,{method:`DELETE`,headers:{...a,...u}},d,new AbortController().signal)}},H=`layercake-window`,U={"agents-other":V,"client-use":async(e,t,n)=>{let r=performance.now(),i=(e,i)=>{n.aborted||t({of:`The module`,status:e,took:Math.round(performance.now()-r),text:R(i)})};try{let t=await import(new URL(`/client/index.js`,location.origin).href),n=sessionStorage.getItem(H),r=await t.connect({url:e.origin,...e.person!==null&&{name:e.person}});n!==null&&sessionStorage.setItem(H,n);let{query:a}=P({...e,project:null});i(`Connected`,JSON.stringify(await r.request(a,{})))}catch(e){i(`Failed`,c(e))}},schema:ue,"graphql-query":le,"graphql-subscription":(e,t,n)=>new Promise(i=>{let a=performance.now(),o=e.project??1,s=(e,n)=>t({of:`The subscription`,status:e,took:Math.round(performance.now()-a),text:R(n)}),c=()=>{l(),i()},l=r.socket.follow(F,()=>({project:o}),e=>{s(`First event`,JSON.stringify(e)),c()},e=>{s(e.code,e.message),c()});n.addEventListener(`abort`,c)})},de={"graphql-subscription":`Waiting for the next change of the plan. Open it in another window, and move a node.`},W=s();function G({snippet:{id:e,title:t,where:n,text:r},attempt:i,target:a}){return(0,W.jsxs)(`div`,{className:`snippet`,role:`group`,"aria-label":t,children:[(0,W.jsx)(`p`,{className:`where`,children:n}),(0,W.jsx)(K,{id:e,text:r,of:t,children:i&&(0,W.jsx)(fe,{id:e,attempt:i,target:a,of:t})},r)]})}function K({id:e,text:t,of:n,children:r}){let i=(0,m.useRef)(null),[a,o]=(0,m.useState)(``);return(0,W.jsxs)(W.Fragment,{children:[(0,W.jsx)(`pre`,{children:(0,W.jsx)(`code`,{ref:i,"data-snippet":e,children:t})}),(0,W.jsxs)(`div`,{className:`actions`,children:[(0,W.jsx)(`button`,{"aria-label":`Copy: ${n}`,onClick:async()=>{try{await navigator.clipboard.writeText(t),o(`Copied`)}catch{getSelection()?.selectAllChildren(i.current),o(document.execCommand(`copy`)?`Copied`:`It is selected: copy it by Ctrl+C`)}},children:`Copy`}),(0,W.jsx)(`span`,{role:`status`,children:a}),r]})]})}function fe({id:e,attempt:t,target:n,of:r}){let[i,a]=(0,m.useState)([]),[o,s]=(0,m.useState)(null);return(0,m.useEffect)(()=>()=>o?.abort(),[o]),(0,W.jsxs)(W.Fragment,{children:[o?(0,W.jsx)(`button`,{"aria-label":`Stop: ${r}`,onClick:()=>o.abort(),children:`Stop`}):(0,W.jsx)(`button`,{"aria-label":`Try it: ${r}`,onClick:async()=>{let e=new AbortController;s(e),a([]),await t(n,e=>a(t=>[...t,e]),e.signal),s(null)},children:`Try it`}),(0,W.jsxs)(`div`,{className:`answers`,role:`status`,"data-try":e,children:[o&&i.length===0&&(0,W.jsx)(`p`,{children:de[e]??`Waiting for the answer.`}),i.map(e=>(0,W.jsxs)(`div`,{children:[(0,W.jsxs)(`p`,{children:[(0,W.jsx)(`strong`,{children:e.status}),` · `,e.of,`, `,e.took.toLocaleString(`en`),` ms`]}),(0,W.jsx)(q,{of:e.of,text:e.text})]},e.of))]})]})}function q({of:e,text:t}){return(0,W.jsx)(`pre`,{className:`scrolled`,tabIndex:0,role:`region`,"aria-label":`Answer: ${e}`,children:t})}var[pe,...me]=_(h);function he({target:e}){return(0,W.jsxs)(W.Fragment,{children:[(0,W.jsxs)(`p`,{children:[`This page does not know where the database is. A server that was started with one has its address in `,(0,W.jsx)(`code`,{children:`LAYERCAKE_DATABASE_URL`}),`; one with a private database, as of `,(0,W.jsx)(`code`,{children:`make run`}),`, says it in its log at the start: `,(0,W.jsx)(`code`,{children:`private database url=…`}),`.`]}),(0,W.jsx)(G,{snippet:I(e),target:e}),(0,W.jsx)(J,{title:`Roles that may ask`,blocks:pe.blocks,id:`sql-0`,project:null}),me.map(({title:t,blocks:n},r)=>(0,W.jsxs)(`details`,{children:[(0,W.jsx)(`summary`,{children:y(t,e.project)}),(0,W.jsx)(J,{title:y(t,e.project),blocks:n,id:`sql-${r+1}`,project:e.project})]},t))]})}function J({title:e,blocks:t,id:n,project:r}){return t.map(({kind:t,text:i},a)=>{let o=`${n}-${a}`;return t===`sql`?(0,W.jsx)(`div`,{className:`snippet`,children:(0,W.jsx)(K,{id:o,text:y(i,r),of:e})},o):t===`answer`?(0,W.jsx)(q,{of:e,text:i},o):(0,W.jsx)(`p`,{children:b(i).map((e,t)=>t%2==1?(0,W.jsx)(`code`,{children:e},t):e)},o)})}var Y=class extends String{__apiType;value;__meta__;constructor(e,t){super(e),this.value=e,this.__meta__=t}toString(){return this.value}},ge=new Y(`
    query ConnectState($project: Int!) {
  me {
    displayName
  }
  projectList(first: 200) {
    projects {
      id
      name
    }
  }
  project(id: $project) {
    id
    name
  }
}
    `),_e=new Y(`
    mutation MakeToken($name: String!, $scopes: [TokenScope!]!, $projectId: Int, $days: Int!) {
  createToken(name: $name, scopes: $scopes, projectId: $projectId, days: $days) {
    secret
    token {
      id
      expiresAt
    }
  }
}
    `),ve=new Y(`
    mutation EndToken($id: Int!) {
  revokeToken(id: $id)
}
    `),X=({readOnly:e,project:t})=>`${e?`reads only`:`reads, changes and runs`}, in ${t===null?`all your projects`:`project ${t} only`}`;function Z(e){return e instanceof t&&e.code===`UNAUTHENTICATED`}function ye({chosen:e,token:t,change:n,signedOut:a}){let[o,s]=(0,m.useState)(``),[l,u]=(0,m.useState)(!1),d=async e=>{if(!l){u(!0),s(``);try{n(await e())}catch(e){s(c(e)),Z(e)&&a()}u(!1)}},f=t=>{t.preventDefault();let n=new FormData(t.currentTarget),{readOnly:i,project:a}=e;d(async()=>{let{createToken:e}=await r.request(_e,{name:String(n.get(`name`)).trim(),days:Number(n.get(`days`)),projectId:a,scopes:i?[`READ`]:[`EDIT`,`RUN`]});return{id:e.token.id,secret:e.secret,expiresAt:e.token.expiresAt,readOnly:i,project:a}})},p=e=>d(async()=>(await r.request(ve,{id:e}),null));return(0,W.jsxs)(`section`,{className:`token`,"aria-labelledby":`token`,children:[(0,W.jsx)(`h2`,{id:`token`,children:`Token`}),t===null?(0,W.jsxs)(`form`,{onSubmit:f,children:[(0,W.jsxs)(`p`,{children:[`A program acts for you by a token. The next one `,X(e),`, as chosen above.`]}),(0,W.jsxs)(`p`,{className:`fields`,children:[(0,W.jsxs)(`label`,{children:[`Name `,(0,W.jsx)(`input`,{name:`name`,required:!0,maxLength:100,dir:`auto`,autoComplete:`off`,defaultValue:`Agent`})]}),(0,W.jsxs)(`label`,{children:[`Days `,(0,W.jsx)(`input`,{name:`days`,type:`number`,required:!0,min:1,max:365,defaultValue:30})]}),(0,W.jsx)(`button`,{className:`main`,children:`Make a token`})]})]}):(0,W.jsxs)(W.Fragment,{children:[(0,W.jsxs)(`p`,{role:`status`,children:[`This token `,X(t),`, until `,i(new Date(t.expiresAt)),`. It is shown until you leave this screen, and stands in what is below.`]}),(0,W.jsx)(K,{id:`token`,text:t.secret,of:`Token`,children:(0,W.jsx)(`button`,{onClick:()=>p(t.id),children:`End it`})}),(t.readOnly!==e.readOnly||t.project!==e.project)&&(0,W.jsxs)(`p`,{children:[`What is chosen above is not what this token may. `,(0,W.jsx)(`button`,{onClick:()=>n(null),children:`Make another`})]})]}),(0,W.jsx)(`p`,{role:`alert`,children:o})]})}async function be(e){let[t,n]=await Promise.all([xe(),r.request(ge,{project:e??0}).catch(e=>{if(Z(e))return null;throw e})]),{projects:i}=n?.projectList??{projects:[]},a=n?.project;return{open:t.open,singleSignOn:!!t.singleSignOn,account:n?.me?.displayName??null,projects:a&&i.every(({id:e})=>e!==a.id)?[a,...i]:i}}async function xe(){try{return await(await fetch(`/login/options`)).json()}catch{throw new t(`NETWORK`,`The server cannot be reached`)}}function Q(){let e=new URLSearchParams(location.search).get(`project`)??``;return/^[1-9]\d{0,8}$/.test(e)?Number(e):null}function Se(){let[e,t]=(0,m.useState)(null),[n,r]=(0,m.useState)(``);return(0,m.useEffect)(()=>{document.title=`Connect – Layercake`,a();let e=d(()=>be(Q()),n=>{e.stop(),t(n),r(``)},e=>r(`${c(e)}. Trying again.`));return e.stop},[]),(0,W.jsxs)(`main`,{className:`list connect`,children:[(0,W.jsxs)(`header`,{children:[(0,W.jsx)(l,{to:`/`,children:`All projects`}),(0,W.jsx)(`h1`,{children:`Connect`}),(0,W.jsx)(u,{})]}),(0,W.jsx)(`p`,{role:`alert`,children:n}),e?(0,W.jsx)(Ce,{state:e,signedOut:()=>t({...e,account:null})}):n===``&&(0,W.jsx)(`p`,{children:`Loading…`})]})}function Ce({state:e,signedOut:t}){let[n,r]=(0,m.useState)(Q),[i,a]=(0,m.useState)(!1),[s,c]=(0,m.useState)(D),[l,u]=(0,m.useState)(``),[d,p]=(0,m.useState)(`posix`),[h,g]=(0,m.useState)(null),[_]=(0,m.useState)(o);(0,m.useEffect)(()=>document.getElementById(location.hash.slice(1))?.scrollIntoView(),[]);let v=e=>{r(e),history.replaceState(history.state,``,`${location.pathname}${e===null?``:`?project=${e}`}${location.hash}`)},y=!e.open,b={origin:location.origin,project:n,readOnly:i,toolsets:s,agent:l.trim(),opId:_,shell:d,token:h?.secret??(y?`YOUR_TOKEN`:null),person:y||h||e.account?null:f.name},x=e=>e.map(e=>(0,W.jsxs)(`article`,{children:[(0,W.jsx)(`h3`,{children:e.title}),(0,W.jsx)(G,{snippet:e,attempt:U[e.id],target:$(b)})]},e.id));return(0,W.jsxs)(W.Fragment,{children:[(0,W.jsx)(Te,{}),(0,W.jsxs)(`nav`,{"aria-label":`On this page`,children:[(0,W.jsx)(`a`,{href:`#agents`,children:`Agents`}),` `,(0,W.jsx)(`a`,{href:`#front-ends`,children:`Front ends`}),` `,(0,W.jsx)(`a`,{href:`#graphql`,children:`GraphQL`}),` `,(0,W.jsx)(`a`,{href:`#database`,children:`Database`}),` `,(0,W.jsx)(`a`,{href:`#terminal`,children:`Terminal`})]}),(0,W.jsxs)(`form`,{className:`chosen`,"aria-label":`What may be reached`,onSubmit:e=>e.preventDefault(),children:[(0,W.jsxs)(`label`,{children:[`Project`,` `,(0,W.jsxs)(`select`,{value:n??``,onChange:({target:{value:e}})=>v(e===``?null:Number(e)),children:[(0,W.jsx)(`option`,{value:``,children:`All projects`}),n!==null&&!e.projects.some(({id:e})=>e===n)&&(0,W.jsxs)(`option`,{value:n,children:[`Project `,n]}),e.projects.map(({id:e,name:t})=>(0,W.jsxs)(`option`,{value:e,children:[t,` (`,e,`)`]},e))]})]}),(0,W.jsxs)(`label`,{children:[(0,W.jsx)(`input`,{type:`checkbox`,checked:i,onChange:({target:{checked:e}})=>a(e)}),` Read only`]}),(0,W.jsxs)(`label`,{children:[`Commands for`,` `,(0,W.jsxs)(`select`,{value:d,onChange:({target:{value:e}})=>p(e),children:[(0,W.jsx)(`option`,{value:`posix`,children:`sh, bash, zsh`}),(0,W.jsx)(`option`,{value:`powershell`,children:`PowerShell 7.3 or later`})]})]})]}),y&&e.account===null&&(0,W.jsxs)(`p`,{children:[`You are not signed in. `,(0,W.jsx)(`a`,{href:we(),children:`Sign in`}),` to make a token.`]}),y&&e.account!==null&&(0,W.jsx)(ye,{chosen:{readOnly:i,project:n},token:h,change:g,signedOut:t}),(0,W.jsx)(`h2`,{id:`agents`,children:`Agents`}),(0,W.jsxs)(`p`,{children:[`An agent works in a plan beside people, and is seen by them. One paste lets its client in.`,y&&e.singleSignOn&&` A client that speaks OAuth needs no token: leave that header out, and it signs in by itself.`]}),(0,W.jsxs)(`div`,{className:`chosen`,role:`group`,"aria-label":`Agents`,children:[(0,W.jsxs)(`label`,{children:[`Name that people see `,(0,W.jsx)(`input`,{dir:`auto`,autoComplete:`off`,maxLength:100,value:l,onChange:({target:{value:e}})=>u(e)})]}),(0,W.jsxs)(`fieldset`,{children:[(0,W.jsx)(`legend`,{children:`Tools for`}),D.map(e=>(0,W.jsxs)(`label`,{children:[(0,W.jsx)(`input`,{type:`checkbox`,checked:s.includes(e),disabled:s.length===1&&s[0]===e,onChange:({target:{checked:t}})=>c(D.filter(n=>n===e?t:s.includes(n)))}),` `,e]},e))]})]}),!k(b.agent)&&(0,W.jsxs)(`p`,{role:`status`,children:[`Many clients cannot send “`,(0,W.jsx)(`bdi`,{children:b.agent}),`” in a header: only the paste for Claude Desktop has it.`]}),ne(b).map((e,t)=>(0,W.jsxs)(`details`,{name:`client`,open:t===0,children:[(0,W.jsx)(`summary`,{children:e.title}),(0,W.jsx)(G,{snippet:e,attempt:U[e.id],target:$(b)})]},e.id)),(0,W.jsx)(`h2`,{id:`front-ends`,children:`Front ends`}),(0,W.jsxs)(`p`,{children:[`The client of exactly this server: it asks, follows plans, and sends edits again until they are answered. Pages of other origins may call when`,` `,(0,W.jsx)(`code`,{children:`LAYERCAKE_ALLOWED_ORIGINS`}),` names them`,e.open&&`, and those of this machine without that`,`.`,y&&` A token in a page belongs to everybody who opens it: let people sign in instead, or keep it to yourself.`]}),x(re(b)),(0,W.jsx)(`h2`,{id:`graphql`,children:`GraphQL`}),e.open&&(0,W.jsxs)(`p`,{children:[(0,W.jsx)(`a`,{href:`/graphql`,children:`GraphiQL`}),` completes and explains what you type.`]}),n===null&&(0,W.jsx)(`p`,{children:`Choose a project above, and it stands in what is below, in the place of 1.`}),x(ae(b)),(0,W.jsx)(`h2`,{id:`database`,children:`Database`}),(0,W.jsx)(he,{target:b}),(0,W.jsx)(`h2`,{id:`terminal`,children:`Terminal`}),x(oe(b))]})}function $(e){return e.token===`YOUR_TOKEN`?{...e,token:null}:e}function we(){return`/login?return=${encodeURIComponent(n(`/connect`)+location.search)}`}function Te(){let{origin:e}=location,t={"this machine":`It leads to the machine that it is used on: what is below works there only.`,"in the clear":`Everybody between there and here can read what is sent, tokens too, and change it: use it in a network that you trust, or put the server behind TLS.`,encrypted:``}[se(e)];return(0,W.jsxs)(`p`,{children:[`This server is `,(0,W.jsx)(`code`,{children:e}),`. `,t]})}export{Se as default};