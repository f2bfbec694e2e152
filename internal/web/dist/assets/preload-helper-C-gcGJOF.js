import{a as e,i as t,n,r,t as i}from"./store-P8-sSNTA.js";import{t as a}from"./client-BWS5Zb_6.js";var o=t((e=>{var t=r();function n(e){var t=`https://react.dev/errors/`+e;if(1<arguments.length){t+=`?args[]=`+encodeURIComponent(arguments[1]);for(var n=2;n<arguments.length;n++)t+=`&args[]=`+encodeURIComponent(arguments[n])}return`Minified React error #`+e+`; visit `+t+` for the full message or use the non-minified dev environment for full errors and additional helpful warnings.`}function i(){}var a={d:{f:i,r:function(){throw Error(n(522))},D:i,C:i,L:i,m:i,X:i,S:i,M:i},p:0,findDOMNode:null},o=Symbol.for(`react.portal`),s=Symbol.for(`react.recoverable`),c=Symbol.for(`react.optimistic_key`);function l(e,t,n){var r=3<arguments.length&&arguments[3]!==void 0?arguments[3]:null;return{$$typeof:o,key:r==null?null:r===c?c:``+r,children:e,containerInfo:t,implementation:n}}var u=t.__CLIENT_INTERNALS_DO_NOT_USE_OR_WARN_USERS_THEY_CANNOT_UPGRADE;function d(e,t){if(e===`font`)return``;if(typeof t==`string`)return t===`use-credentials`?t:``}e.__DOM_INTERNALS_DO_NOT_USE_OR_WARN_USERS_THEY_CANNOT_UPGRADE=a,e.browser=function(e){return{$$typeof:s,_reason:e}},e.createPortal=function(e,t){var r=2<arguments.length&&arguments[2]!==void 0?arguments[2]:null;if(!t||t.nodeType!==1&&t.nodeType!==9&&t.nodeType!==11)throw Error(n(299));return l(e,t,null,r)},e.flushSync=function(e){var t=u.T,n=a.p;try{if(u.T=null,a.p=2,e)return e()}finally{u.T=t,a.p=n,a.d.f()}},e.preconnect=function(e,t){typeof e==`string`&&(t?(t=t.crossOrigin,t=typeof t==`string`?t===`use-credentials`?t:``:void 0):t=null,a.d.C(e,t))},e.prefetchDNS=function(e){typeof e==`string`&&a.d.D(e)},e.preinit=function(e,t){if(typeof e==`string`&&t&&typeof t.as==`string`){var n=t.as,r=d(n,t.crossOrigin),i=typeof t.integrity==`string`?t.integrity:void 0,o=typeof t.fetchPriority==`string`?t.fetchPriority:void 0;n===`style`?a.d.S(e,typeof t.precedence==`string`?t.precedence:void 0,{crossOrigin:r,integrity:i,fetchPriority:o}):n===`script`&&a.d.X(e,{crossOrigin:r,integrity:i,fetchPriority:o,nonce:typeof t.nonce==`string`?t.nonce:void 0})}},e.preinitModule=function(e,t){if(typeof e==`string`){if(typeof t==`object`&&t){if(t.as==null||t.as===`script`){var n=d(t.as,t.crossOrigin);a.d.M(e,{crossOrigin:n,integrity:typeof t.integrity==`string`?t.integrity:void 0,nonce:typeof t.nonce==`string`?t.nonce:void 0,fetchPriority:typeof t.fetchPriority==`string`?t.fetchPriority:void 0})}}else t??a.d.M(e)}},e.preload=function(e,t){if(typeof e==`string`&&typeof t==`object`&&t&&typeof t.as==`string`){var n=t.as,r=d(n,t.crossOrigin);a.d.L(e,n,{crossOrigin:r,integrity:typeof t.integrity==`string`?t.integrity:void 0,nonce:typeof t.nonce==`string`?t.nonce:void 0,type:typeof t.type==`string`?t.type:void 0,fetchPriority:typeof t.fetchPriority==`string`?t.fetchPriority:void 0,referrerPolicy:typeof t.referrerPolicy==`string`?t.referrerPolicy:void 0,imageSrcSet:typeof t.imageSrcSet==`string`?t.imageSrcSet:void 0,imageSizes:typeof t.imageSizes==`string`?t.imageSizes:void 0,media:typeof t.media==`string`?t.media:void 0})}},e.preloadModule=function(e,t){if(typeof e==`string`){if(t){var n=d(t.as,t.crossOrigin);a.d.m(e,{as:typeof t.as==`string`&&t.as!==`script`?t.as:void 0,crossOrigin:n,integrity:typeof t.integrity==`string`?t.integrity:void 0,nonce:typeof t.nonce==`string`?t.nonce:void 0,fetchPriority:typeof t.fetchPriority==`string`?t.fetchPriority:void 0})}else a.d.m(e)}},e.requestFormReset=function(e){a.d.r(e)},e.unstable_batchedUpdates=function(e,t){return e(t)},e.useFormState=function(e,t,n){return u.H.useFormState(e,t,n)},e.useFormStatus=function(){return u.H.useHostTransitionStatus()},e.version=`19.3.1`})),s=t(((e,t)=>{function n(){if(typeof __REACT_DEVTOOLS_GLOBAL_HOOK__<`u`&&typeof __REACT_DEVTOOLS_GLOBAL_HOOK__.checkDCE==`function`)try{__REACT_DEVTOOLS_GLOBAL_HOOK__.checkDCE(n)}catch(e){console.error(e)}}n(),t.exports=o()})),c=new Set,l=()=>{for(let e of c)e()};addEventListener(`popstate`,l);var u=()=>location.pathname;function d(e){return c.add(e),()=>c.delete(e)}function f(e,t){history.pushState({hint:t},``,e),l()}function p(){let e=history.state;return typeof e==`object`&&e&&`hint`in e&&typeof e.hint==`string`?e.hint:void 0}var m=class extends String{__apiType;value;__meta__;constructor(e,t){super(e),this.value=e,this.__meta__=t}toString(){return this.value}},h=new m(`
    query ProjectList($search: String!, $first: Int!, $after: String) {
  projectList(search: $search, first: $first, after: $after) {
    projects {
      id
      name
      description
      createdAt
      live {
        people
        agents
        planVersion
        lastChangeAt
        lastChangeBy
        changesLastHour
      }
    }
    next
  }
}
    `),g=new m(`
    mutation CreateProject($input: CreateProjectInput!) {
  createProject(input: $input) {
    id
  }
}
    `),_=new m(`
    query NodeTypes {
  nodeTypes {
    nodeType
    does
    minInputs
    maxInputs
    maxOutputs
    leadsTo
    configSchema
    example
  }
}
    `),v=new m(`
    mutation UpdateProject($id: Int!, $input: UpdateProjectInput!) {
  updateProject(id: $id, input: $input) {
    id
  }
}
    `),y=new m(`
    mutation DeleteProject($id: ID!) {
  deleteProject(id: $id)
}
    `),b=new m(`
    query ValidatePlan($planDag: PlanDagInput!) {
  validatePlanDag(planDag: $planDag) {
    errors {
      nodeId
      message
    }
    warnings {
      nodeId
      message
    }
  }
}
    `);function x(e,t){try{localStorage.setItem(e,t)}catch{}}function S(e){try{return localStorage.getItem(e)}catch{return null}}var C=`layercake-name`,w={name:S(C)??A(),color:`#3b82f6`},T=await a({url:location.origin,name:w.name});w.color=j(T.clientId);var E=null;function D(e){return E?.id===e||(O(),E={id:e,plan:T.plan(e),presence:T.presence(e,w.color)}),E}function O(){E?.plan.stop(),E?.presence.stop(),E=null}async function k(e){T.name=e;try{await T.request(`{ __typename }`,{})}catch(e){throw T.name=w.name,e}w.name=e,x(C,e)}function A(){let e=e=>{let t=e.split(` `);return t[Math.floor(Math.random()*t.length)]},t=`${e(`Amber Azure Coral Ivory Jade Maroon Olive Scarlet Silver Violet`)} ${e(`Badger Falcon Heron Lynx Marten Otter Owl Raven Seal Stork`)}`;return x(C,t),t}function j(e){let t=[`#c2410c`,`#b91c1c`,`#a21caf`,`#6d28d9`,`#1d4ed8`,`#0e7490`,`#047857`,`#4d7c0f`],n=0;for(let t of e)n=(n*31+t.charCodeAt(0))%9973;return t[n%t.length]}var M=e(r(),1),N=n(),P=[`system`,`light`,`dark`],F=`layercake-theme`,I=i(P.find(e=>e===S(F))??`system`),L=()=>{document.documentElement.dataset.theme=I.get()};L(),I.subscribe(L);function R(){return(0,M.useSyncExternalStore)(I.subscribe,I.get)}function z(){let e=R();return(0,N.jsxs)(`button`,{onClick:()=>{let t=P[(P.indexOf(e)+1)%P.length];I.set(t),x(F,t)},title:`System, light or dark`,children:[`Colours: `,e]})}var B=(function(){let e=typeof document<`u`&&document.createElement(`link`).relList;return e&&e.supports&&e.supports(`modulepreload`)?`modulepreload`:`preload`})(),V=function(e){return`/`+e},H={},U=function(e){return e.pathname.endsWith(`.css`)},W=function(e,t,n){if(t in e)return e[t];let r=n();if(!r){e[t]=void 0;return}let i=r.then(()=>{e[t]=void 0},n=>{throw e[t]=void 0,n});return e[t]=i,i},G=function(e,t,n){let r=Promise.resolve();if(t&&t.length>0){let e,i=document.querySelector(`meta[property=csp-nonce]`),a=i?.nonce||i?.getAttribute(`nonce`);function o(e){return Promise.all(e.map(e=>Promise.resolve(e).then(e=>({status:`fulfilled`,value:e}),e=>({status:`rejected`,reason:e}))))}function s(e){return import.meta.resolve?new URL(import.meta.resolve(e)):new URL(e,import.meta.url)}r=o(t.map(t=>{t=V(t,n);let r=s(t),i=U(r);return W(H,r.href,()=>{if(e===void 0){e={all:new Set,styles:new Set};let t=document.getElementsByTagName(`link`);for(let n=t.length-1;n>=0;n--){let r=t[n];e.all.add(r.href),r.rel===`stylesheet`&&e.styles.add(r.href)}}if((i?e.styles:e.all).has(r.href))return;let t=document.createElement(`link`);if(t.rel=i?`stylesheet`:B,i||(t.as=`script`),t.crossOrigin=``,t.href=r.href,a&&t.setAttribute(`nonce`,a),document.head.appendChild(t),i)return new Promise((e,n)=>{let i=a=>{t.removeEventListener(`load`,i),t.removeEventListener(`error`,i),a.type===`error`?n(Error(`Unable to preload CSS for ${r}`)):e(a)};t.addEventListener(`load`,i),t.addEventListener(`error`,i)})})}).filter(e=>e!==void 0))}function i(e){let t=new Event(`vite:preloadError`,{cancelable:!0});if(t.payload=e,window.dispatchEvent(t),!t.defaultPrevented)throw e}return r.then(t=>{for(let e of t||[])e.status===`rejected`&&i(e.reason);return e().catch(i)})};export{d as _,T as a,k as c,_ as d,h as f,f as g,p as h,O as i,g as l,b as m,z as n,w as o,v as p,R as r,D as s,G as t,y as u,u as v,s as y};