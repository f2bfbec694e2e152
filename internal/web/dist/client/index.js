async function e(){try{return new i(await Promise.race([a(),new Promise((e,t)=>setTimeout(t,3e3))]))}catch{return t()}}function t(){let e=new Map;return{durable:!1,load:async t=>s([...e.values()].filter(e=>e.projectId===t)),write:async(t,n)=>{for(let t of n)e.delete(t);for(let n of t)e.set(n.opId,n)}}}var n=`changes`,r=`project`,i=class{durable=!0;#e;#t=new Map;#n=new Set;#r=Promise.resolve();#i;constructor(e){this.#e=e,e.onversionchange=()=>e.close(),e.onclose=()=>{this.durable=!1}}async load(e){try{let t=this.#e.transaction(n).objectStore(n).index(r).getAll(e);return this.#a(e,await o(t))}catch{return this.durable=!1,this.#a(e,[])}}#a(e,t){let n=[...this.#t.values()].filter(t=>t.projectId===e);return s([...t.filter(({opId:e})=>!this.#t.has(e)&&!this.#n.has(e)),...n])}write(e,t){for(let e of t)this.#t.delete(e),this.#n.add(e);for(let t of e)this.#n.delete(t.opId),this.#t.set(t.opId,t);return this.#i??=this.#r.then(()=>(this.#i=void 0,this.#o())),this.#r=this.#i,this.#r}async#o(){let[e,t]=[[...this.#t.values()],[...this.#n]];try{let r=this.#e.transaction(n,`readwrite`,{durability:`relaxed`}),i=r.objectStore(n);for(let e of t)i.delete(e);for(let t of e)i.put(t);await new Promise((e,t)=>{r.oncomplete=()=>e(),r.onabort=()=>t(r.error)});for(let t of e)this.#t.get(t.opId)===t&&this.#t.delete(t.opId);for(let e of t)this.#n.delete(e);this.durable=this.#t.size===0}catch{this.durable=!1}}};function a(){let e=indexedDB.open(`layercake`,1);return e.onupgradeneeded=()=>{e.result.createObjectStore(n,{keyPath:`opId`}).createIndex(r,`projectId`)},o(e)}function o(e){return new Promise((t,n)=>{e.onsuccess=()=>t(e.result),e.onerror=()=>n(e.error)})}function s(e){return e.toSorted((e,t)=>e.seq-t.seq)}function c(e,t){let{nodes:n,edges:r}=e;if(`addNode`in t)n.has(t.addNode.id)||n.set(t.addNode.id,t.addNode);else if(`updateNode`in t){let e=n.get(t.updateNode.id);e&&n.set(e.id,{...e,...t.updateNode.updates})}else if(`moveNodes`in t)for(let{nodeId:e,position:r}of t.moveNodes){let t=n.get(e);t&&n.set(e,{...t,position:r})}else if(`deleteNode`in t){n.delete(t.deleteNode);for(let e of r.values())(e.source===t.deleteNode||e.target===t.deleteNode)&&r.delete(e.id)}else if(`addEdge`in t){let{id:e,source:i,target:a}=t.addEdge;!r.has(e)&&n.has(i)&&n.has(a)&&r.set(e,t.addEdge)}else if(`updateEdge`in t){let e=r.get(t.updateEdge.id);e&&r.set(e.id,{...e,...t.updateEdge.updates})}else r.delete(t.deleteEdge)}function l(e,{kind:t,id:n,after:r}){switch(t){case`NODE_ADDED`:e.nodes.set(n,r);break;case`NODE_UPDATED`:e.nodes.set(n,{...e.nodes.get(n),...r});break;case`EXECUTION_CHANGED`:{let t=e.nodes.get(n),i={datasourceExecution:null,graphExecution:null},a=r&&`graphId`in r?`graphExecution`:`datasourceExecution`;t&&e.nodes.set(n,{...t,...i,[a]:r??null});break}case`NODE_REMOVED`:e.nodes.delete(n);break;case`EDGE_ADDED`:case`EDGE_UPDATED`:e.edges.set(n,r);break;case`EDGE_REMOVED`:e.edges.delete(n)}}function u(e){let t=e=>`node ${e}`,n=e=>`edge ${e}`;return`addNode`in e?{writes:[t(e.addNode.id)],needs:[]}:`updateNode`in e?{writes:[t(e.updateNode.id)],needs:[]}:`moveNodes`in e?{writes:e.moveNodes.map(e=>t(e.nodeId)),needs:[]}:`deleteNode`in e?{writes:[t(e.deleteNode)],needs:[]}:`addEdge`in e?{writes:[n(e.addEdge.id)],needs:[t(e.addEdge.source),t(e.addEdge.target)]}:`updateEdge`in e?{writes:[n(e.updateEdge.id)],needs:[]}:{writes:[n(e.deleteEdge)],needs:[]}}var d=class extends String{__apiType;value;__meta__;constructor(e,t){super(e),this.value=e,this.__meta__=t}toString(){return this.value}},f=new d(`
    query Plan($projectId: Int!) {
  project(id: $projectId) {
    id
    name
  }
  getPlanDag(projectId: $projectId) {
    ...Graph
  }
}
    fragment Node on PlanDagNode {
  id
  nodeType
  position {
    x
    y
  }
  metadata {
    label
    description
  }
  config
  datasourceExecution {
    dataSourceId
    filename
    status
    processedAt
    executionState
    errorMessage
  }
  graphExecution {
    graphId
    nodeCount
    edgeCount
    executionState
    computedDate
    errorMessage
  }
}
fragment Edge on PlanDagEdge {
  id
  source
  target
  sourceHandle
  targetHandle
  metadata {
    label
    dataType
  }
}
fragment Graph on PlanDag {
  version
  cursor
  nodes {
    ...Node
  }
  edges {
    ...Edge
  }
}`),p=new d(`
    subscription PlanEvents($projectId: Int!, $after: String) {
  planEvents(projectId: $projectId, after: $after) {
    ...Step
    clientId
    actorId
    actorName
    actorKind
    via
    timestamp
  }
}
    fragment Node on PlanDagNode {
  id
  nodeType
  position {
    x
    y
  }
  metadata {
    label
    description
  }
  config
  datasourceExecution {
    dataSourceId
    filename
    status
    processedAt
    executionState
    errorMessage
  }
  graphExecution {
    graphId
    nodeCount
    edgeCount
    executionState
    computedDate
    errorMessage
  }
}
fragment Edge on PlanDagEdge {
  id
  source
  target
  sourceHandle
  targetHandle
  metadata {
    label
    dataType
  }
}
fragment Graph on PlanDag {
  version
  cursor
  nodes {
    ...Node
  }
  edges {
    ...Edge
  }
}
fragment Step on PlanEvent {
  version
  cursor
  snapshot
  opId
  plan {
    ...Graph
  }
  operations {
    kind
    id
    after
  }
}`),m=new d(`
    query PlanHead($projectId: Int!) {
  project(id: $projectId) {
    live {
      planVersion
    }
  }
}
    `),h=new d(`
    subscription PlanSteps($projectId: Int!, $after: String) {
  planEvents(projectId: $projectId, after: $after) {
    ...Step
  }
}
    fragment Node on PlanDagNode {
  id
  nodeType
  position {
    x
    y
  }
  metadata {
    label
    description
  }
  config
  datasourceExecution {
    dataSourceId
    filename
    status
    processedAt
    executionState
    errorMessage
  }
  graphExecution {
    graphId
    nodeCount
    edgeCount
    executionState
    computedDate
    errorMessage
  }
}
fragment Edge on PlanDagEdge {
  id
  source
  target
  sourceHandle
  targetHandle
  metadata {
    label
    dataType
  }
}
fragment Graph on PlanDag {
  version
  cursor
  nodes {
    ...Node
  }
  edges {
    ...Edge
  }
}
fragment Step on PlanEvent {
  version
  cursor
  snapshot
  opId
  plan {
    ...Graph
  }
  operations {
    kind
    id
    after
  }
}`);function g(e,t){let n=new Set(_(t)?.map(e=>e.nodeId));return[...e.flatMap(e=>{let t=n.size&&!e.sent?_(e):void 0,r=t?.filter(e=>!n.has(e.nodeId));return!r||r.length===t?.length?[e]:r.length?[{...e,edits:[{moveNodes:r}]}]:[]}),{...t,sent:!1}]}function _({edits:e}){let[t,...n]=e;return t&&`moveNodes`in t&&n.length===0?t.moveNodes:void 0}function v(e,t=20){let n=[],r=new Set,i=new Set;for(let a of e){if(a.accepted!==void 0)continue;let e=a.edits.map(u),o=e.flatMap(e=>e.writes),s=e.flatMap(e=>e.needs),c=o.some(e=>r.has(e)||i.has(e))||s.some(e=>r.has(e));if(n.length===t||c)break;n.push(a);for(let e of o)r.add(e);for(let e of s)i.add(e)}return n}function y(e,t,n){let r=[],i=new Map,a;t.forEach((e,t)=>{let o=n[t];o&&(`failure`in o?o.failure.passes?a??=o.failure:a||r.push({change:e,failure:o.failure}):i.set(e.opId,o.version))});let o=new Set(r.map(({change:e})=>e.opId)),s=e.filter(e=>!o.has(e.opId)).map(e=>i.has(e.opId)?{...e,accepted:i.get(e.opId)}:e),c=new Set(e.map(e=>e.opId));return{queue:s,refused:r.filter(({change:e})=>c.has(e.opId)),wait:a}}var b=class e extends Error{code;path;detail;conflicts;retryAfterMs;requestId;constructor(e,t,n={}){super(t),this.name=`Failure`,this.code=e,this.path=n.path;let{detail:r,conflicts:i,retryAfterMs:a,requestId:o}=n.extensions??{};this.detail=r,this.conflicts=i??[],this.retryAfterMs=a,this.requestId=o}get passes(){return this.code===`NETWORK`||this.code===`UNAVAILABLE`||this.code===`RATE_LIMITED`}static from(t){return new e(t.extensions?.code??`INTERNAL`,t.message,t)}},x=3e4;function S(e,t){return async(n,r)=>{let i;try{i=await fetch(e,{method:`POST`,headers:{...t(),"content-type":`application/json`,accept:`application/graphql-response+json, application/json`},body:JSON.stringify({query:n.toString(),variables:r}),signal:AbortSignal.timeout(x)})}catch{throw new b(`NETWORK`,`The server cannot be reached`)}try{let e=await i.json();if(C(e))return e}catch{}throw new b(`NETWORK`,`The server cannot be reached (status ${i.status})`)}}function C(e){return typeof e==`object`&&!!e&&(`data`in e||`errors`in e)}function w(e){let t=e.errors?.[0];if(t)throw b.from(t);if(!e.data)throw new b(`INTERNAL`,`The answer has no data`);return e.data}function T(e,t){return t??Math.min(250*2**e,5e3)*(.5+Math.random()/2)}function E(){return Array.from(crypto.getRandomValues(new Uint8Array(16)),e=>e.toString(16).padStart(2,`0`)).join(``)}function D(e,t){let n={projectId:e},r=[`$projectId: Int!`],i=t.map(({opId:e,clientId:t,edits:i},a)=>(Object.assign(n,{[`edits${a}`]:i,[`opId${a}`]:e,[`clientId${a}`]:t}),r.push(`$edits${a}: [PlanEdit!]!, $opId${a}: String, $clientId${a}: String`),`${O(a)}: editPlan(projectId: $projectId, edits: $edits${a}, opId: $opId${a}, clientId: $clientId${a}) { version }`));return{document:`mutation (${r.join(`, `)}) {\n  ${i.join(`
  `)}\n}`,variables:n}}var O=e=>`c${e}`;async function k(e,t,n){let{document:r,variables:i}=D(t,n),a=await e(r,i),o=new Map;for(let e of a.errors??[]){let t=e.path?.[0];if(t===void 0)throw A(e)?new b(`UNAVAILABLE`,e.message,e):b.from(e);o.set(String(t),b.from(e))}let s=n.map((e,t)=>{let n=o.get(O(t));return n?{failure:n}:a.data?.[O(t)]});if(s.every(e=>e===void 0))throw new b(`NETWORK`,`The answer is not one of the server`);return s}function A({message:e}){return/^(Unknown type|Unknown argument|Cannot query field) /.test(e)}var ee=36e5,j=class{#e={nodes:new Map,edges:new Map};#t=-1;#n=null;#r=``;#i=[];#a=[];#o=[];#s;#c=0;#l=null;#u=null;#d=!1;#f=!1;#p=!1;#m=new Set;#h=new Set;#g=()=>{};#_=!1;#v=()=>{};#y=0;#b=()=>{};#x=new Set;#S=Promise.resolve();#C;constructor(e){this.#C=e,this.#s={state:`connecting`,since:e.now(),behind:0}}subscribe=e=>(this.#m.add(e),()=>this.#m.delete(e));hear(e){return this.#h.add(e),()=>this.#h.delete(e)}snapshot=()=>(this.#l??={plan:this.#t<0?null:this.#u??=this.#R(),projectName:this.#r,status:this.#s,waiting:N(this.#i).size,refused:this.#a,undecided:this.#o,durable:this.#C.journal.durable},this.#l);change(e){let{projectId:t,clientId:n}=this.#C,r={opId:E(),projectId:t,clientId:n,at:this.#C.now(),seq:++this.#c,edits:e};return this.#I(g(this.#i,r)),this.#s.state===`ended`&&this.#V(this.#s.failure),this.#P(),r.opId}drop(){let e=this.#i.at(-1);if(e&&!e.sent)return this.#I(this.#i.slice(0,-1)),e}send(e){let t=this.#o.filter(t=>e.includes(t.opId));this.#o=this.#o.filter(t=>!e.includes(t.opId));let n=t.map(e=>({...e,clientId:this.#C.clientId,at:this.#C.now(),seq:++this.#c,sent:!0}));this.#I([...this.#i,...n]),this.#P()}discard(e){let t=t=>e.includes(t.opId),n=this.#a.map(({change:e})=>e);this.#L([],[...this.#o,...n].filter(t).map(e=>e.opId)),this.#o=this.#o.filter(e=>!t(e)),this.#a=this.#a.filter(({change:e})=>!t(e)),this.#H()}async start(){let{socket:e}=this.#C,{state:t}=e.snapshot();this.#v=e.subscribe(()=>{let n=t;t=e.snapshot().state,t!==n&&this.#O(t)}),await this.#T(),await this.comeBack()}async comeBack(){this.#p=!1,this.#s={state:`connecting`,since:this.#C.now(),behind:0},this.#H(),await this.#D()&&(this.#C.socket.snapshot().state===`live`&&this.#z(`live`),this.#j()),this.#P()}stop(){this.#v(),this.#w()}#w(){this.#p=!0,this.#g(),this.#b(),this.#W()}async#T(){let{journal:e,projectId:t,clientId:n}=this.#C,[r,i]=await Promise.all([e.load(t),this.#C.openWindows()]),a=r.filter(e=>e.clientId===n);this.#o=[...a.filter(e=>this.#E(e)),...r.filter(e=>e.clientId!==n&&i&&!i.has(e.clientId))],this.#i=[...a.filter(e=>!this.#E(e)).map(e=>({...e,sent:!0})),...this.#i],this.#c=Math.max(this.#c,...r.map(e=>e.seq)),this.#H()}#E(e){return Math.abs(this.#C.now()-e.at)>ee}async#D(){for(let e=0;!this.#p;e++)try{let{project:e,getPlanDag:t}=w(await this.#C.post(f,{projectId:this.#C.projectId}));if(!e||!t)throw new b(`NOT_FOUND`,`Project not found`);return this.#r=e.name,this.#N(t),!0}catch(t){let n=P(t);if(!n.passes)return this.#B(n),!1;this.#z(`reconnecting`),await this.#U(T(e,n.retryAfterMs))}return!1}#O(e){if(e!==`live`)return this.#z(e);this.#W(),this.#t<0||(this.#s.state===`reconnecting`?this.#k():this.#z(`live`),this.#_&&this.#j())}#k(){this.#b();let{socket:e,projectId:t}=this.#C;this.#b=e.follow(m,()=>({projectId:t}),({project:e})=>{this.#b(),this.#A(e?.live.planVersion)},()=>this.#A())}#A(e=0){this.#y=e;let t=Math.max(0,e-this.#t);this.#z(t>0?`catchingUp`:`live`,t)}#j(e=0,t=!1){this.#g(),this.#_=t;let n=()=>({projectId:this.#C.projectId,after:this.#n}),r=!1,i=t?h:p;this.#g=this.#C.socket.follow(i,n,({planEvents:e})=>{r=!0,this.#M(e)},async n=>{if(!t&&A(n))return this.#j(e,!0);if(!n.passes)return this.#B(n);let i=r?0:e+1;await this.#U(T(i,n.retryAfterMs)),this.#p||this.#j(i)})}#M(e){if(e.snapshot){e.plan&&this.#N(e.plan);return}if(e.version<=this.#t)return;for(let t of e.operations)l(this.#e,t);if(this.#t=e.version,this.#n=e.cursor,this.#I(this.#i.filter(t=>t.opId!==e.opId)),e.actorId===void 0||e.operations.every(({kind:e})=>e===`EXECUTION_CHANGED`))return;let{plan:t,operations:n,...r}=e,i=e=>[...new Set(n.flatMap(t=>t.kind.startsWith(e)?[t.id]:[]))];for(let e of this.#h)e({...r,nodeIds:i(`NODE`),edgeIds:i(`EDGE`)})}#N(e){this.#e.nodes=M(e.nodes),this.#e.edges=M(e.edges),this.#t=Number(e.version),this.#n=e.cursor,this.#I([...N(this.#i).values()])}async#P(){if(!(this.#f||this.#t<0)){this.#f=!0;try{let e=20,t=0;for(;!this.#p;){await this.#S,this.#F();let n=v(this.#i,e);if(n.length===0)return;for(let e of n)e.sent=!0;let r;try{r=await k(this.#C.post,this.#C.projectId,n)}catch(t){let i=P(t);if(!i.passes&&n.length>1){e=1;continue}r=n.map(()=>({failure:i}))}let i=y(this.#i,n,r);this.#a=[...this.#a,...i.refused],i.refused.length>0&&(e=20),this.#I(i.queue),i.wait?await this.#U(T(t++,i.wait.retryAfterMs)):t=0}}finally{this.#f=!1}}}#F(){let e=this.#i.filter(e=>e.accepted===void 0&&this.#E(e));e.length!==0&&(this.#o=[...this.#o,...e],this.#i=this.#i.filter(t=>!e.includes(t)),this.#u=null,this.#H())}#I(e){let t=e.filter(({accepted:e})=>e===void 0||e>this.#t),n=N(this.#i),r=N(t);this.#i=t,this.#u=null,this.#s.state===`catchingUp`&&this.#A(this.#y),this.#L([...r.values()].filter(e=>n.get(e.opId)!==e).map(te),[...n.keys()].filter(e=>!r.has(e))),this.#H()}#L(e,t){if(e.length===0&&t.length===0)return;let{journal:n}=this.#C,r=n.durable,i=n.write(e,t).then(()=>{n.durable!==r&&this.#H()});this.#S=Promise.all([this.#S,i]).then(()=>{})}#R(){let e={version:this.#t,nodes:new Map(this.#e.nodes),edges:new Map(this.#e.edges)};for(let t of this.#i)for(let n of t.edits)c(e,n);return e}#z(e,t=0){let n=this.#s;n.state===`ended`||n.state===e&&n.behind===t||(this.#s={state:e,since:n.state===e?n.since:this.#C.now(),behind:t},this.#H())}#B(e){this.#s={state:`ended`,since:this.#C.now(),failure:e},this.#w(),this.#V(e),this.#H()}#V(e){e.code===`NOT_FOUND`&&(this.#a=[...this.#a,...[...N(this.#i).values()].map(t=>({change:t,failure:e}))],this.#i=[],this.#u=null,this.#H())}#H(){this.#l=null,this.#d||(this.#d=!0,this.#C.beforeFrame(()=>{this.#d=!1;for(let e of this.#m)e()}))}#U(e){return new Promise(t=>{let n=()=>{this.#x.delete(n),t()};this.#x.add(n),this.#C.delay(e).then(n)})}#W(){for(let e of this.#x)e()}};function M(e){return new Map(e.map(e=>[e.id,e]))}function N(e){return new Map(e.filter(e=>e.accepted===void 0).map(e=>[e.opId,e]))}function te({opId:e,projectId:t,clientId:n,at:r,seq:i,edits:a}){return{opId:e,projectId:t,clientId:n,at:r,seq:i,edits:a}}function P(e){return e instanceof b?e:new b(`INTERNAL`,String(e))}function F(e){return e===null?`null`:Array.isArray(e)?`array`:typeof e}function I(e){return F(e)===`object`}function ne(e){return Array.isArray(e)&&e.length>0&&e.every(e=>`message`in e)}function L(e,t){return e.length<124?e:t}var R=(e=>(e[e.InternalServerError=4500]=`InternalServerError`,e[e.InternalClientError=4005]=`InternalClientError`,e[e.BadRequest=4400]=`BadRequest`,e[e.BadResponse=4004]=`BadResponse`,e[e.Unauthorized=4401]=`Unauthorized`,e[e.Forbidden=4403]=`Forbidden`,e[e.SubprotocolNotAcceptable=4406]=`SubprotocolNotAcceptable`,e[e.ConnectionInitialisationTimeout=4408]=`ConnectionInitialisationTimeout`,e[e.ConnectionAcknowledgementTimeout=4504]=`ConnectionAcknowledgementTimeout`,e[e.SubscriberAlreadyExists=4409]=`SubscriberAlreadyExists`,e[e.TooManyInitialisationRequests=4429]=`TooManyInitialisationRequests`,e))(R||{}),z=(e=>(e.ConnectionInit=`connection_init`,e.ConnectionAck=`connection_ack`,e.Ping=`ping`,e.Pong=`pong`,e.Subscribe=`subscribe`,e.Next=`next`,e.Error=`error`,e.Complete=`complete`,e))(z||{});function B(e){if(!I(e))throw Error(`Message is expected to be an object, but got ${F(e)}`);if(!e.type)throw Error(`Message is missing the 'type' property`);if(typeof e.type!=`string`)throw Error(`Message is expects the 'type' property to be a string, but got ${F(e.type)}`);switch(e.type){case`connection_init`:case`connection_ack`:case`ping`:case`pong`:if(e.payload!=null&&!I(e.payload))throw Error(`"${e.type}" message expects the 'payload' property to be an object or nullish or missing, but got "${e.payload}"`);break;case`subscribe`:if(typeof e.id!=`string`)throw Error(`"${e.type}" message expects the 'id' property to be a string, but got ${F(e.id)}`);if(!e.id)throw Error(`"${e.type}" message requires a non-empty 'id' property`);if(!I(e.payload))throw Error(`"${e.type}" message expects the 'payload' property to be an object, but got ${F(e.payload)}`);if(typeof e.payload.query!=`string`)throw Error(`"${e.type}" message payload expects the 'query' property to be a string, but got ${F(e.payload.query)}`);if(e.payload.variables!=null&&!I(e.payload.variables))throw Error(`"${e.type}" message payload expects the 'variables' property to be a an object or nullish or missing, but got ${F(e.payload.variables)}`);if(e.payload.operationName!=null&&F(e.payload.operationName)!==`string`)throw Error(`"${e.type}" message payload expects the 'operationName' property to be a string or nullish or missing, but got ${F(e.payload.operationName)}`);if(e.payload.extensions!=null&&!I(e.payload.extensions))throw Error(`"${e.type}" message payload expects the 'extensions' property to be a an object or nullish or missing, but got ${F(e.payload.extensions)}`);break;case`next`:if(typeof e.id!=`string`)throw Error(`"${e.type}" message expects the 'id' property to be a string, but got ${F(e.id)}`);if(!e.id)throw Error(`"${e.type}" message requires a non-empty 'id' property`);if(!I(e.payload))throw Error(`"${e.type}" message expects the 'payload' property to be an object, but got ${F(e.payload)}`);break;case`error`:if(typeof e.id!=`string`)throw Error(`"${e.type}" message expects the 'id' property to be a string, but got ${F(e.id)}`);if(!e.id)throw Error(`"${e.type}" message requires a non-empty 'id' property`);if(!ne(e.payload))throw Error(`"${e.type}" message expects the 'payload' property to be an array of GraphQL errors, but got ${JSON.stringify(e.payload)}`);break;case`complete`:if(typeof e.id!=`string`)throw Error(`"${e.type}" message expects the 'id' property to be a string, but got ${F(e.id)}`);if(!e.id)throw Error(`"${e.type}" message requires a non-empty 'id' property`);break;default:throw Error(`Invalid message 'type' property "${e.type}"`)}return e}function re(e,t){return B(typeof e==`string`?JSON.parse(e,t):e)}function V(e,t){return B(e),JSON.stringify(e,t)}function ie(e){let{url:t,connectionParams:n,lazy:r=!0,onNonLazyError:i=console.error,lazyCloseTimeout:a=0,keepAlive:o=0,disablePong:s,connectionAckWaitTimeout:c=0,retryAttempts:l=5,retryWait:u=async function(e){let t=2**e;await new Promise(e=>setTimeout(e,t*1e3+Math.floor(Math.random()*2700+300)))},shouldRetry:d=U,on:f,webSocketImpl:p,generateID:m=function(){return`xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx`.replace(/[xy]/g,e=>{let t=Math.random()*16|0;return(e==`x`?t:t&3|8).toString(16)})},jsonMessageReplacer:h,jsonMessageReviver:g}=e,_;if(p){if(!oe(p))throw Error(`Invalid WebSocket implementation provided`);_=p}else typeof WebSocket<`u`?_=WebSocket:typeof global<`u`?_=global.WebSocket||global.MozWebSocket:typeof window<`u`&&(_=window.WebSocket||window.MozWebSocket);if(!_)throw Error("WebSocket implementation missing; on Node you can `import WebSocket from 'ws';` and pass `webSocketImpl: WebSocket` to `createClient`");let v=_,y=(()=>{let e=(()=>{let e={};return{on(t,n){return e[t]=n,()=>{delete e[t]}},emit(t){`id`in t&&e[t.id]?.(t)}}})(),t={connecting:f?.connecting?[f.connecting]:[],opened:f?.opened?[f.opened]:[],connected:f?.connected?[f.connected]:[],ping:f?.ping?[f.ping]:[],pong:f?.pong?[f.pong]:[],message:f?.message?[e.emit,f.message]:[e.emit],closed:f?.closed?[f.closed]:[],error:f?.error?[f.error]:[]};return{onMessage:e.on,on(e,n){let r=t[e];return r.push(n),()=>{let e=r.indexOf(n);e>-1&&r.splice(e,1)}},emit(e,...n){for(let r of[...t[e]])r(...n)}}})();function b(e){let t=[y.on(`error`,n=>{t.forEach(e=>e()),e(n)}),y.on(`closed`,n=>{t.forEach(e=>e()),e(n)})];return()=>t.forEach(e=>e())}let x,S=0,C,w=!1,T=0,E=!1;async function D(){clearTimeout(C);let[e,r]=await(x??=new Promise((e,r)=>(async()=>{if(w){if(await u(T),!S)return x=void 0,r({code:1e3,reason:`All Subscriptions Gone`});T++}y.emit(`connecting`,w);let i=new v(typeof t==`function`?await t():t,`graphql-transport-ws`),a,l;function d(){isFinite(o)&&o>0&&(clearTimeout(l),l=setTimeout(()=>{i.readyState===v.OPEN&&(i.send(V({type:z.Ping})),y.emit(`ping`,!1,void 0))},o))}b(e=>{x=void 0,clearTimeout(a),clearTimeout(l),r(e),e instanceof H&&(i.close(4499,`Terminated`),i.onerror=null,i.onclose=null)}),i.onerror=e=>y.emit(`error`,e),i.onclose=e=>y.emit(`closed`,e),i.onopen=async()=>{try{y.emit(`opened`,i);let e=typeof n==`function`?await n():n;if(i.readyState!==v.OPEN)return;i.send(V(e?{type:z.ConnectionInit,payload:e}:{type:z.ConnectionInit},h)),isFinite(c)&&c>0&&(a=setTimeout(()=>{i.close(R.ConnectionAcknowledgementTimeout,`Connection acknowledgement timeout`)},c)),d()}catch(e){y.emit(`error`,e),i.close(R.InternalClientError,L(e instanceof Error?e.message:String(e),`Internal client error`))}};let f=!1;i.onmessage=({data:t})=>{try{let n=re(t,g);if(y.emit(`message`,n),n.type===`ping`||n.type===`pong`){y.emit(n.type,!0,n.payload),n.type===`pong`?d():s||(i.send(V(n.payload?{type:z.Pong,payload:n.payload}:{type:z.Pong},h)),y.emit(`pong`,!1,n.payload));return}if(f)return;if(n.type!==z.ConnectionAck)throw Error(`First message cannot be of type ${n.type}`);clearTimeout(a),f=!0,y.emit(`connected`,i,n.payload,w),w=!1,T=0;let r=new Promise((e,t)=>b(t));r.catch(()=>{}),e([i,r])}catch(e){i.onmessage=null,y.emit(`error`,e),i.close(R.BadResponse,L(e instanceof Error?e.message:String(e),`Bad response`))}}})()));e.readyState===v.CLOSING&&await r;let i=()=>{},l=new Promise(e=>i=e);return[e,i,new Promise((t,n)=>{let i=b(n);e.readyState!==v.OPEN&&r.catch(n),l.then(()=>{if(i(),!S){let t=()=>e.close(1e3,`Normal Closure`);isFinite(a)&&a>0?(clearTimeout(C),C=setTimeout(()=>{!S&&e.readyState===v.OPEN&&t()},a)):t()}t()})})]}function O(e){if(U(e)&&(ae(e.code)||[R.InternalServerError,R.InternalClientError,R.BadRequest,R.BadResponse,R.Unauthorized,R.SubprotocolNotAcceptable,R.SubscriberAlreadyExists,R.TooManyInitialisationRequests].includes(e.code)))throw e;if(E)return!1;if(U(e)&&e.code===1e3)return S>0;if(!l||T>=l||!d(e))throw e;return w=!0}r||(async()=>{for(S++;;)try{let[,,e]=await D();await e}catch(e){try{if(!O(e))return}catch(e){return i?.(e)}}})();function k(e,t){let n=m(e),r=!1,i=!1,a=()=>{S--,r=!0};return(async()=>{for(S++;;)try{let[o,s,c]=await D();if(r)return c.catch(()=>{}),s();let l=y.onMessage(n,e=>{switch(e.type){case z.Next:t.next(e.payload);return;case z.Error:i=!0,r=!0,t.error(e.payload),a();return;case z.Complete:r=!0,a();return}});o.send(V({id:n,type:z.Subscribe,payload:e},h)),a=()=>{!r&&o.readyState===v.OPEN&&o.send(V({id:n,type:z.Complete},h)),S--,r=!0,s()},await c.finally(l);return}catch(e){if(!O(e))return}})().then(()=>{i||t.complete()}).catch(e=>{t.error(e)}),()=>{r||a()}}return{on:y.on,subscribe:k,iterate(e){let t=[],n={done:!1,error:null,resolve:()=>{}},r=k(e,{next(e){t.push(e),n.resolve()},error(e){n.done=!0,n.error=e,n.resolve()},complete(){n.done=!0,n.resolve()}}),i=async function*(){for(;;){for(t.length||await new Promise(e=>n.resolve=e);t.length;)yield t.shift();if(n.error)throw n.error;if(n.done)return}}();return i.throw=async e=>(n.done||(n.done=!0,n.error=e,n.resolve()),{done:!0,value:void 0}),i.return=async()=>(r(),{done:!0,value:void 0}),i},async dispose(){if(E=!0,x){let[e]=await x;e.close(1e3,`Normal Closure`)}},terminate(){x&&y.emit(`closed`,new H)}}}var H=class extends Error{name=`TerminatedCloseEvent`;message=`4499: Terminated`;code=4499;reason=`Terminated`;wasClean=!1};function U(e){return I(e)&&`code`in e&&`reason`in e}function ae(e){return![1e3,1001,1006,1005,1012,1013,1014].includes(e)&&e>=1e3&&e<=1999}function oe(e){return typeof e==`function`&&`constructor`in e&&`CLOSED`in e&&`CLOSING`in e&&`CONNECTING`in e&&`OPEN`in e}var W=5e3,se=1e4,ce=4e3,le=class{#e={state:`connecting`,since:Date.now(),greeting:{},roundTrip:null};#t;#n=new Set;#r;#i=()=>{};constructor(e,t){let n,r=0;this.#t=ie({url:e,connectionParams:t,keepAlive:se,connectionAckWaitTimeout:W,lazyCloseTimeout:1e3,retryAttempts:1/0,shouldRetry:e=>!(G(e)&&e.code===ce),retryWait:e=>this.#o(T(e,this.#r)),on:{opened:()=>{r=performance.now()},connected:(e,t)=>{this.#a({state:`live`,since:Date.now(),greeting:t??{},roundTrip:performance.now()-r})},closed:e=>{clearTimeout(n),this.#r=G(e)?K(e.reason):void 0,this.#e.state!==`reconnecting`&&this.#a({state:`reconnecting`,since:Date.now()})},ping:e=>{e||(r=performance.now(),n=setTimeout(()=>this.#t.terminate(),W))},pong:e=>{e&&(clearTimeout(n),this.#a({roundTrip:performance.now()-r}))}}}),globalThis.addEventListener?.(`online`,()=>this.#i())}subscribe=e=>(this.#n.add(e),()=>this.#n.delete(e));snapshot=()=>this.#e;follow(e,t,n,r){let i=!1,a=e=>{i||r(e),i=!0},o={query:e.toString(),get variables(){return t()}},s=this.#t.subscribe(o,{next:e=>{let{data:t,errors:r}=e;r?.[0]?a(b.from(r[0])):t&&!i&&n(t)},error:e=>a(ue(e)),complete:()=>a(new b(`UNAVAILABLE`,`The subscription ended`))});return()=>{i=!0,s()}}close(){this.#t.dispose()}#a(e){this.#e={...this.#e,...e};for(let e of this.#n)e()}#o(e){return new Promise(t=>{let n=setTimeout(t,e);this.#i=()=>{clearTimeout(n),t()}})}};function G(e){return typeof e==`object`&&!!e&&`code`in e&&`reason`in e}function K(e){try{let t=JSON.parse(e).retryAfterMs;return typeof t==`number`?t:void 0}catch{return}}function ue(e){return Array.isArray(e)&&e[0]?b.from(e[0]):G(e)?e.code===ce?new b(`KICKED`,e.reason):new b(`INTERNAL`,e.reason||`The server closed the connection (${e.code})`):new b(`INTERNAL`,String(e))}var q=`plan-dag-canvas`,de=100,fe=50,pe=1e3,J=4e3,Y=class{#e;#t;kicked=null;#n=new Map;#r=new Set;#i=null;#a=0;#o=!1;#s;#c={position:null,selectedNodeId:null};#l;constructor(e,t){this.#e=e,this.#t=t}subscribe=e=>(this.#r.add(e),()=>this.#r.delete(e));snapshot=()=>this.#n;start(){this.#o=!1,this.kicked=null;let e=new WebSocket(this.#e);this.#i=e,e.onopen=()=>{this.#a=0;let{userId:e,name:t,color:n}=this.#t;this.#f(`join_session`,{userId:e,userName:t,avatarColor:n,documentId:q})},e.onmessage=e=>this.#p(JSON.parse(String(e.data))),e.onclose=({code:t,reason:n})=>{this.#i===e&&(t===J&&(this.kicked=n),this.#h(new Map),!this.#o&&t!==pe&&t!==J&&(this.#s=setTimeout(()=>this.start(),T(this.#a++,K(n)))))}}stop(){this.#o=!0,clearTimeout(this.#s),clearTimeout(this.#l),this.#i?.close()}move(e,t=null){this.#c={...this.#c,position:e,selectedNodeId:t},this.#u()}drag(e){let t=this.#c.dragging;this.#c={...this.#c,dragging:e&&{...e,nodeIds:e.nodeIds.slice(0,fe)}},e?this.#u():t&&this.#d()}#u(){this.#l??=setTimeout(()=>this.#d(),de)}#d(){clearTimeout(this.#l),this.#l=void 0;let{position:e,selectedNodeId:t,dragging:n}=this.#c;e&&this.#f(`cursor_update`,{documentId:q,documentType:`canvas`,position:{type:`canvas`,x:e.x,y:e.y},timestamp:Date.now(),selectedNodeId:t,dragging:n})}#f(e,t){this.#i?.readyState===WebSocket.OPEN&&this.#i.send(JSON.stringify({type:e,data:t}))}#p({type:e,data:t}){if(e===`bulk_presence`)this.#h(new Map(t.filter(e=>this.#m(e)).map(e=>[e.userId,X(e)])));else if(e===`user_presence`){let e=t,n=new Map(this.#n);this.#m(e)?n.set(e.userId,X(e)):n.delete(e.userId),this.#h(n)}}#m(e){return e.isOnline&&e.userId!==this.#t.userId}#h(e){this.#n=e;for(let e of this.#r)e()}};function X({userId:e,userName:t,avatarColor:n,isAgent:r,lastActive:i,documents:a}){let{position:o=null,selectedNodeId:s=null,dragging:c=null}=a[q]??{};return{userId:e,name:t,color:n,isAgent:r,cursor:o&&{x:o.x,y:o.y},selectedNodeId:s,dragging:c,activeAt:Date.parse(i)}}var Z=`layercake-window`,Q=e=>`layercake-window-${e}`,me=500;async function he(){let e=_e()??E();await $(e)||(e=E(),await $(e));try{sessionStorage.setItem(Z,e)}catch{}return e}async function ge(){if(!ve())return null;let e=Q(``),{held:t=[]}=await navigator.locks.query();return new Set(t.flatMap(({name:t})=>t?.startsWith(e)?[t.slice(e.length)]:[]))}function _e(){try{return sessionStorage.getItem(Z)}catch{return null}}function $(e){return ve()?new Promise(t=>{navigator.locks.request(Q(e),{signal:AbortSignal.timeout(me)},()=>(t(!0),new Promise(()=>{}))).catch(()=>t(!1))}):Promise.resolve(!0)}function ve(){return typeof navigator<`u`&&`locks`in navigator}var ye=class{clientId;name;#e;#t;#n;#r;#i;constructor({url:e,token:t,name:n},r,i){this.#e=e.replace(/\/$/,``),this.#t=t,this.name=n,this.clientId=r,this.#r=i,this.#n=S(`${this.#e}/graphql`,()=>({...this.#t?{authorization:`Bearer ${this.#t}`}:{},...this.name?{"x-layercake-name":encodeURIComponent(this.name.toWellFormed())}:{}}))}async request(e,t){return w(await this.#n(e,t))}plan(e){let t=new j({projectId:e,clientId:this.clientId,journal:this.#r,post:this.#n,socket:this.socket,openWindows:ge,now:()=>Date.now(),beforeFrame:xe,delay:e=>new Promise(t=>setTimeout(t,e))});return t.start(),t}presence(e,t=`#3b82f6`){let n=new Y(`${this.#a()}/ws/collaboration?project_id=${e}`,{userId:this.clientId,name:this.name??`Somebody`,color:t});return n.start(),n}close(){this.#i?.close()}get socket(){return this.#i??=new le(`${this.#a()}/graphql/ws`,()=>({...this.#t?{token:this.#t}:{},...this.name?{name:this.name}:{}})),this.#i}#a(){return this.#e.replace(/^http/,`ws`)}};async function be(t){let[n,r]=await Promise.all([he(),e()]);return new ye(t,n,r)}function xe(e){typeof requestAnimationFrame>`u`?setTimeout(e):requestAnimationFrame(e)}export{ye as Connection,b as Failure,j as PlanStore,Y as PresenceStore,be as connect,E as newId,T as pause};