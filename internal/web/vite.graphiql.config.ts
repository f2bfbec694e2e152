import { defineConfig } from 'vite'

// GraphiQL: a page of its own, which shares no file with ours, so that neither weighs on the other.
export default defineConfig({
  base: './',
  plugins: [{
    name: 'without-fonts',
    // Its style sheet holds fonts, which would be most of its size. The fonts of the machine will do.
    transform: (code, id) => (id.endsWith('/graphiql/dist/style.css') ? code.replaceAll(/@font-face\s*\{[^}]*\}/g, '') : undefined),
  }],
  publicDir: false,
  build: {
    target: 'es2023',
    emptyOutDir: false,
    assetsDir: 'assets/graphiql',
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 2_000,
    modulePreload: false,
    rolldownOptions: {
      input: 'graphiql.html',
      output: { codeSplitting: false },
      checks: {
        moduleLevelDirective: false, // its libraries say 'use client', which means nothing here
        pluginTimings: false,
      },
    },
  },
})
