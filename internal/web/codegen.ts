import type { CodegenConfig } from '@graphql-codegen/cli'

// Types and documents come from the schema that the server's own golden test writes, so a document that asks for what the server
// lacks fails the build.
// A folder's documents are one module, which is loaded with the first part that needs one of them. So parts that are loaded later have a
// folder of their own.
const output = (folder: string): CodegenConfig['generates'] => ({
  [`${folder}/gql/`]: {
    documents: `${folder}/*.graphql`,
    preset: 'client',
    presetConfig: { fragmentMasking: false },
    config: { documentMode: 'string', enumsAsTypes: true, useTypeImports: true, scalars: { DateTime: 'string', JSON: 'unknown' } },
  },
})

const config: CodegenConfig = {
  schema: '../../graph/testdata/schema.graphql',
  generates: {
    ...output('src/client'), ...output('src/app'), ...output('src/data'), ...output('src/look'), ...output('src/connect'),
  },
}
export default config
