import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'

// The page: an index, and files whose names change with their contents.
export default defineConfig({
  base: './', // the server puts the page where it lies
  plugins: [react()],
  build: {
    target: 'es2023',
    // A data: address would be a font or a script from elsewhere for the policy that the page is served with.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rolldownOptions: {
      // Layouts are an entry, too, so that a test can ask the file that is served.
      input: ['index.html', 'src/app/layout.ts'],
      preserveEntrySignatures: 'exports-only',
      // Few files, since small ones are compressed badly: what the list needs, and what the canvas needs beyond that.
      output: {
        codeSplitting: {
          groups: [
            { name: 'list', test: /app\/projects\.tsx$|react-dom|preload-helper/, priority: 2 },
            { name: 'canvas', test: /app\/canvas\.tsx$/, priority: 1 },
          ],
        },
      },
      checks: { pluginTimings: false }, // how long a build took is no warning
    },
  },
})
