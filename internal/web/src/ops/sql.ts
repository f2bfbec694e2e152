// The statements of buttons, as somebody would type them.

/** Arguments that are numbers; all others are texts to PostgreSQL, which finds out the type by the function. */
const numbers = ['project']

/** The statement that calls a function with arguments by name. */
export function statement(name: string, values: Record<string, string>): string {
  const list = Object.entries(values).map(([argument, value]) => `${argument} => ${literal(argument, value)}`)
  return `SELECT layercake.${name}(${list.join(', ')});`
}

function literal(argument: string, value: string): string {
  return numbers.includes(argument) && /^\d+$/.test(value) ? value : `'${value.replaceAll("'", "''")}'`
}
