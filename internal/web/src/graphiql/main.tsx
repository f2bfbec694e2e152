// GraphiQL, which asks the server that it came from.
import { createGraphiQLFetcher } from '@graphiql/toolkit'
import { GraphiQL } from 'graphiql'
import 'graphiql/style.css'
import { createRoot } from 'react-dom/client'
import './graphiql.css'

const url = `${location.origin}/graphql`
const fetcher = createGraphiQLFetcher({ url, subscriptionUrl: url.replace(/^http/, 'ws') })

createRoot(document.getElementById('root')!).render(<GraphiQL fetcher={fetcher} />)
