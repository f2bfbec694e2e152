// Packs the built client with its types, for `npm install <server>/client/layercake-client.tgz`. The package needs no other.
import { execFileSync } from 'node:child_process'
import { copyFileSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'

const folder = 'build/client'
const run = (command, ...args) => execFileSync(command, args, { stdio: ['ignore', 'pipe', 'inherit'], encoding: 'utf8' })

rmSync('build', { recursive: true, force: true })
run('npx', '--no-install', 'tsc', '-p', 'tsconfig.client.json')
rmSync(`${folder}/gql`, { recursive: true }) // the types of documents are nobody's business
copyFileSync('dist/client/index.js', `${folder}/index.js`)
for (const name of readdirSync(folder)) {
  const foreign = /from ['"](?!\.\/[a-z]+\.ts['"])[^'"]*['"]/.exec(readFileSync(`${folder}/${name}`, 'utf8'))
  if (name.endsWith('.d.ts') && foreign) throw new Error(`${name} has types ${foreign[0]}, which are not in the package`)
}
writeFileSync(`${folder}/package.json`, JSON.stringify({
  name: 'layercake-client',
  version: '0.1.0',
  description: 'The client of the Layercake server that serves this file',
  type: 'module',
  sideEffects: false,
  exports: { '.': { types: './index.d.ts', default: './index.js' } },
}, null, 2))
const [{ filename }] = JSON.parse(run('npm', 'pack', `./${folder}`, '--json', '--pack-destination', 'dist/client'))
renameSync(`dist/client/${filename}`, 'dist/client/layercake-client.tgz')
