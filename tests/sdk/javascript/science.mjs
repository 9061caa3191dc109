// What needs the packages of the template: skipped, with the reason, where they are not installed.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { oneSandbox } from './common.mjs'

const here = oneSandbox('code-interpreter-v1')
let probe
const absent = async () => {
  probe ??= run('import numpy, pandas, matplotlib, PIL')
  const { error } = await probe
  return error && `not in the template: ${error.value}`
}
const whenInstalled = (name, check) =>
  test(name, async (context) => {
    const reason = await absent()
    return reason ? context.skip(reason) : check()
  })
const run = (code) => here.sandbox.runCode(code)

whenInstalled('a DataFrame comes as data', async () => {
  const { results } = await run(`
import pandas as pd
pd.DataFrame({'name': ['a', 'b'], 'n': [1, 2], 'when': pd.to_datetime(['2024-01-01', '2024-01-02'])})`)
  const { data } = results[0]
  assert.deepEqual(data.name, ['a', 'b'])
  assert.deepEqual(data.n, [1, 2])
  assert.match(data.when[0], /^2024-01-01T00:00:00/)
  assert.match(results[0].html, /<table/)
})

whenInstalled('a plot comes as an image and a chart', async () => {
  const { results, error } = await run(`
import matplotlib.pyplot as plt
plt.plot([1, 2, 3], [4, 5, 6], label='rise')
plt.title('Rise'); plt.xlabel('Time (s)'); plt.ylabel('Height (m)')
plt.show()`)
  assert.equal(error, undefined, error?.traceback)
  const [result] = results
  assert.match(result.png, /^iVBOR/)
  const { chart } = result
  assert.equal(chart.type, 'line')
  assert.equal(chart.title, 'Rise')
  assert.deepEqual([chart.x_label, chart.x_unit, chart.y_unit], ['Time (s)', 's', 'm'])
  assert.deepEqual(chart.elements[0].points, [[1, 4], [2, 5], [3, 6]])
})
