import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'

// The page for operators, which is served at another address. A file that both pages share would cost the other one 700 bytes, since small
// files are compressed badly.
export default defineConfig({
  base: './',
  plugins: [react()],
  publicDir: false,
  build: {
    target: 'es2023',
    emptyOutDir: false,
    assetsDir: 'assets/ops',
    assetsInlineLimit: 0,
    modulePreload: false,
    rolldownOptions: {
      input: 'ops.html',
      output: { codeSplitting: false },
      checks: { pluginTimings: false },
    },
  },
})
