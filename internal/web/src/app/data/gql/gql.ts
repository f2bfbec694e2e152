/* eslint-disable */
import * as types from './graphql';



/**
 * Map of all GraphQL operations in the project.
 *
 * This map has several performance disadvantages:
 * 1. It is not tree-shakeable, so it will include all operations in the project.
 * 2. It is not minifiable, so the string of a GraphQL query will be multiple times inside the bundle.
 * 3. It does not support dead code elimination, so it will add unused operations.
 *
 * Therefore it is highly recommended to use the babel or swc plugin for production.
 * Learn more about it here: https://the-guild.dev/graphql/codegen/plugins/presets/preset-client#reducing-bundle-size
 */
type Documents = {
    "query ProjectAccess($projectId: Int!) {\n  project(id: $projectId) {\n    role\n    plan {\n      id\n    }\n  }\n}\n\nquery Staleness($projectId: Int!) {\n  graphs(projectId: $projectId) {\n    nodeId\n    stale\n    staleBecause\n  }\n}\n\nquery Source($id: Int!) {\n  dataSource(id: $id) {\n    id\n    name\n    filename\n    fileFormat\n    dataType\n    fileSizeFormatted\n    status\n    errorMessage\n    processedAt\n    rowCount\n    problemCount\n    problems {\n      row\n      column\n      reason\n      warning\n    }\n  }\n}\n\nquery Built($id: Int!) {\n  graph(id: $id) {\n    nodeCount\n    edgeCount\n    computedDate\n    errorMessage\n    layers {\n      layerId\n    }\n  }\n}\n\nmutation Reprocess($id: Int!, $opId: String!, $clientId: String!) {\n  reprocessDataSource(id: $id, opId: $opId, clientId: $clientId) {\n    id\n  }\n}\n\nmutation DeleteSource($id: Int!, $opId: String!, $clientId: String!) {\n  deleteDataSource(id: $id, opId: $opId, clientId: $clientId)\n}\n\nmutation ExecuteNode($projectId: Int!, $nodeId: String!, $opId: String!, $clientId: String!) {\n  executeNode(\n    projectId: $projectId\n    nodeId: $nodeId\n    opId: $opId\n    clientId: $clientId\n  ) {\n    message\n  }\n}\n\nmutation ExecutePlan($id: Int!, $opId: String!, $clientId: String!) {\n  executePlan(id: $id, opId: $opId, clientId: $clientId) {\n    message\n  }\n}\n\nmutation Cancel($projectId: Int!, $nodeId: String, $opId: String!, $clientId: String!) {\n  cancelExecution(\n    projectId: $projectId\n    nodeId: $nodeId\n    opId: $opId\n    clientId: $clientId\n  )\n}\n\nsubscription Executions($projectId: Int!) {\n  executions(projectId: $projectId) {\n    nodeId\n    state\n    phase\n    done\n    total\n    attempt\n    replica\n  }\n}": typeof types.ProjectAccessDocument,
};
const documents: Documents = {
    "query ProjectAccess($projectId: Int!) {\n  project(id: $projectId) {\n    role\n    plan {\n      id\n    }\n  }\n}\n\nquery Staleness($projectId: Int!) {\n  graphs(projectId: $projectId) {\n    nodeId\n    stale\n    staleBecause\n  }\n}\n\nquery Source($id: Int!) {\n  dataSource(id: $id) {\n    id\n    name\n    filename\n    fileFormat\n    dataType\n    fileSizeFormatted\n    status\n    errorMessage\n    processedAt\n    rowCount\n    problemCount\n    problems {\n      row\n      column\n      reason\n      warning\n    }\n  }\n}\n\nquery Built($id: Int!) {\n  graph(id: $id) {\n    nodeCount\n    edgeCount\n    computedDate\n    errorMessage\n    layers {\n      layerId\n    }\n  }\n}\n\nmutation Reprocess($id: Int!, $opId: String!, $clientId: String!) {\n  reprocessDataSource(id: $id, opId: $opId, clientId: $clientId) {\n    id\n  }\n}\n\nmutation DeleteSource($id: Int!, $opId: String!, $clientId: String!) {\n  deleteDataSource(id: $id, opId: $opId, clientId: $clientId)\n}\n\nmutation ExecuteNode($projectId: Int!, $nodeId: String!, $opId: String!, $clientId: String!) {\n  executeNode(\n    projectId: $projectId\n    nodeId: $nodeId\n    opId: $opId\n    clientId: $clientId\n  ) {\n    message\n  }\n}\n\nmutation ExecutePlan($id: Int!, $opId: String!, $clientId: String!) {\n  executePlan(id: $id, opId: $opId, clientId: $clientId) {\n    message\n  }\n}\n\nmutation Cancel($projectId: Int!, $nodeId: String, $opId: String!, $clientId: String!) {\n  cancelExecution(\n    projectId: $projectId\n    nodeId: $nodeId\n    opId: $opId\n    clientId: $clientId\n  )\n}\n\nsubscription Executions($projectId: Int!) {\n  executions(projectId: $projectId) {\n    nodeId\n    state\n    phase\n    done\n    total\n    attempt\n    replica\n  }\n}": types.ProjectAccessDocument,
};

/**
 * The graphql function is used to parse GraphQL queries into a document that can be used by GraphQL clients.
 */
export function graphql(source: "query ProjectAccess($projectId: Int!) {\n  project(id: $projectId) {\n    role\n    plan {\n      id\n    }\n  }\n}\n\nquery Staleness($projectId: Int!) {\n  graphs(projectId: $projectId) {\n    nodeId\n    stale\n    staleBecause\n  }\n}\n\nquery Source($id: Int!) {\n  dataSource(id: $id) {\n    id\n    name\n    filename\n    fileFormat\n    dataType\n    fileSizeFormatted\n    status\n    errorMessage\n    processedAt\n    rowCount\n    problemCount\n    problems {\n      row\n      column\n      reason\n      warning\n    }\n  }\n}\n\nquery Built($id: Int!) {\n  graph(id: $id) {\n    nodeCount\n    edgeCount\n    computedDate\n    errorMessage\n    layers {\n      layerId\n    }\n  }\n}\n\nmutation Reprocess($id: Int!, $opId: String!, $clientId: String!) {\n  reprocessDataSource(id: $id, opId: $opId, clientId: $clientId) {\n    id\n  }\n}\n\nmutation DeleteSource($id: Int!, $opId: String!, $clientId: String!) {\n  deleteDataSource(id: $id, opId: $opId, clientId: $clientId)\n}\n\nmutation ExecuteNode($projectId: Int!, $nodeId: String!, $opId: String!, $clientId: String!) {\n  executeNode(\n    projectId: $projectId\n    nodeId: $nodeId\n    opId: $opId\n    clientId: $clientId\n  ) {\n    message\n  }\n}\n\nmutation ExecutePlan($id: Int!, $opId: String!, $clientId: String!) {\n  executePlan(id: $id, opId: $opId, clientId: $clientId) {\n    message\n  }\n}\n\nmutation Cancel($projectId: Int!, $nodeId: String, $opId: String!, $clientId: String!) {\n  cancelExecution(\n    projectId: $projectId\n    nodeId: $nodeId\n    opId: $opId\n    clientId: $clientId\n  )\n}\n\nsubscription Executions($projectId: Int!) {\n  executions(projectId: $projectId) {\n    nodeId\n    state\n    phase\n    done\n    total\n    attempt\n    replica\n  }\n}"): typeof import('./graphql').ProjectAccessDocument;


export function graphql(source: string) {
  return (documents as any)[source] ?? {};
}
