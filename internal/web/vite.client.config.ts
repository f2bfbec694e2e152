import { defineConfig } from 'vite'

// The client: one module without dependencies, for pages without a build and for the package. (Vite's library mode would leave the
// blanks in.)
export default defineConfig({
  publicDir: false,
  build: {
    target: 'es2023',
    outDir: 'dist/client',
    modulePreload: false,
    rolldownOptions: {
      input: 'src/client/index.ts',
      preserveEntrySignatures: 'strict',
      // Fragments are in the documents that need them.
      treeshake: { manualPureFunctions: ['TypedDocumentString'] },
      output: { entryFileNames: 'index.js' },
    },
  },
})
