import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'

// The page: an index, and files whose names change with their contents.
export default defineConfig({
  plugins: [react()],
  build: {
    target: 'es2023',
    // A data: address would be a font or a script from elsewhere for the policy that the page is served with.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
})
