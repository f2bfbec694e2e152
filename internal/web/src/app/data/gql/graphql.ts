/* eslint-disable */
/** Internal type. DO NOT USE DIRECTLY. */
type Exact<T extends { [key: string]: unknown }> = { [K in keyof T]: T[K] };
/** Internal type. DO NOT USE DIRECTLY. */
export type Incremental<T> = T | { [P in keyof T]?: P extends ' $fragmentName' | '__typename' ? T[P] : never };
import type { DocumentTypeDecoration } from '@graphql-typed-document-node/core';
export type ProjectAccessQueryVariables = Exact<{
  projectId: number;
}>;


export type ProjectAccessQuery = { project: { role: string, plan: { id: number } | null } | null };

export type StalenessQueryVariables = Exact<{
  projectId: number;
}>;


export type StalenessQuery = { graphs: Array<{ nodeId: string, stale: boolean, staleBecause: Array<string> }> };

export type SourceQueryVariables = Exact<{
  id: number;
}>;


export type SourceQuery = { dataSource: { id: number, name: string, filename: string, fileFormat: string, dataType: string, fileSizeFormatted: string, status: string, errorMessage: string | null, processedAt: string | null, rowCount: number, problemCount: number, problems: Array<{ row: number, column: string | null, reason: string, warning: boolean }> } | null };

export type BuiltQueryVariables = Exact<{
  id: number;
}>;


export type BuiltQuery = { graph: { nodeCount: number, edgeCount: number, computedDate: string | null, errorMessage: string | null, layers: Array<{ layerId: string }> } | null };

export type ReprocessMutationVariables = Exact<{
  id: number;
  opId: string;
  clientId: string;
}>;


export type ReprocessMutation = { reprocessDataSource: { id: number } };

export type DeleteSourceMutationVariables = Exact<{
  id: number;
  opId: string;
  clientId: string;
}>;


export type DeleteSourceMutation = { deleteDataSource: boolean };

export type ExecuteNodeMutationVariables = Exact<{
  projectId: number;
  nodeId: string;
  opId: string;
  clientId: string;
}>;


export type ExecuteNodeMutation = { executeNode: { message: string } };

export type ExecutePlanMutationVariables = Exact<{
  id: number;
  opId: string;
  clientId: string;
}>;


export type ExecutePlanMutation = { executePlan: { message: string } };

export type CancelMutationVariables = Exact<{
  projectId: number;
  nodeId?: string | null | undefined;
  opId: string;
  clientId: string;
}>;


export type CancelMutation = { cancelExecution: boolean };

export type ExecutionsSubscriptionVariables = Exact<{
  projectId: number;
}>;


export type ExecutionsSubscription = { executions: { nodeId: string, state: string, phase: string | null, done: number | null, total: number | null, attempt: number, replica: string | null } };

export class TypedDocumentString<TResult, TVariables>
  extends String
  implements DocumentTypeDecoration<TResult, TVariables>
{
  __apiType?: NonNullable<DocumentTypeDecoration<TResult, TVariables>['__apiType']>;
  private value: string;
  public __meta__?: Record<string, any> | undefined;

  constructor(value: string, __meta__?: Record<string, any> | undefined) {
    super(value);
    this.value = value;
    this.__meta__ = __meta__;
  }

  override toString(): string & DocumentTypeDecoration<TResult, TVariables> {
    return this.value;
  }
}

export const ProjectAccessDocument = new TypedDocumentString(`
    query ProjectAccess($projectId: Int!) {
  project(id: $projectId) {
    role
    plan {
      id
    }
  }
}
    `) as unknown as TypedDocumentString<ProjectAccessQuery, ProjectAccessQueryVariables>;
export const StalenessDocument = new TypedDocumentString(`
    query Staleness($projectId: Int!) {
  graphs(projectId: $projectId) {
    nodeId
    stale
    staleBecause
  }
}
    `) as unknown as TypedDocumentString<StalenessQuery, StalenessQueryVariables>;
export const SourceDocument = new TypedDocumentString(`
    query Source($id: Int!) {
  dataSource(id: $id) {
    id
    name
    filename
    fileFormat
    dataType
    fileSizeFormatted
    status
    errorMessage
    processedAt
    rowCount
    problemCount
    problems {
      row
      column
      reason
      warning
    }
  }
}
    `) as unknown as TypedDocumentString<SourceQuery, SourceQueryVariables>;
export const BuiltDocument = new TypedDocumentString(`
    query Built($id: Int!) {
  graph(id: $id) {
    nodeCount
    edgeCount
    computedDate
    errorMessage
    layers {
      layerId
    }
  }
}
    `) as unknown as TypedDocumentString<BuiltQuery, BuiltQueryVariables>;
export const ReprocessDocument = new TypedDocumentString(`
    mutation Reprocess($id: Int!, $opId: String!, $clientId: String!) {
  reprocessDataSource(id: $id, opId: $opId, clientId: $clientId) {
    id
  }
}
    `) as unknown as TypedDocumentString<ReprocessMutation, ReprocessMutationVariables>;
export const DeleteSourceDocument = new TypedDocumentString(`
    mutation DeleteSource($id: Int!, $opId: String!, $clientId: String!) {
  deleteDataSource(id: $id, opId: $opId, clientId: $clientId)
}
    `) as unknown as TypedDocumentString<DeleteSourceMutation, DeleteSourceMutationVariables>;
export const ExecuteNodeDocument = new TypedDocumentString(`
    mutation ExecuteNode($projectId: Int!, $nodeId: String!, $opId: String!, $clientId: String!) {
  executeNode(
    projectId: $projectId
    nodeId: $nodeId
    opId: $opId
    clientId: $clientId
  ) {
    message
  }
}
    `) as unknown as TypedDocumentString<ExecuteNodeMutation, ExecuteNodeMutationVariables>;
export const ExecutePlanDocument = new TypedDocumentString(`
    mutation ExecutePlan($id: Int!, $opId: String!, $clientId: String!) {
  executePlan(id: $id, opId: $opId, clientId: $clientId) {
    message
  }
}
    `) as unknown as TypedDocumentString<ExecutePlanMutation, ExecutePlanMutationVariables>;
export const CancelDocument = new TypedDocumentString(`
    mutation Cancel($projectId: Int!, $nodeId: String, $opId: String!, $clientId: String!) {
  cancelExecution(
    projectId: $projectId
    nodeId: $nodeId
    opId: $opId
    clientId: $clientId
  )
}
    `) as unknown as TypedDocumentString<CancelMutation, CancelMutationVariables>;
export const ExecutionsDocument = new TypedDocumentString(`
    subscription Executions($projectId: Int!) {
  executions(projectId: $projectId) {
    nodeId
    state
    phase
    done
    total
    attempt
    replica
  }
}
    `) as unknown as TypedDocumentString<ExecutionsSubscription, ExecutionsSubscriptionVariables>;