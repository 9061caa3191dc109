'use strict'
// Static imports and import() in a cell, rewritten to calls: a cell is a script, not a module.
// Reads tokens, so that strings, comments, templates and regular expressions are left alone;
// what it does not understand stays as it is, for V8 to complain about.

const CALL = '__e2brun_import'
const SPACE = /(?:\s|\/\/[^\n]*|\/\*[\s\S]*?\*\/)*/y
const WORD = /[\p{ID_Start}$_][\p{ID_Continue}$\u200c\u200d]*/uy
const NUMBER = /\.?\d(?:[eE][+-]|[\w.])*/y
const STRING = /"(?:[^"\\\n]|\\[\s\S])*"|'(?:[^'\\\n]|\\[\s\S])*'/y
const REGEXP = /\/(?:[^/\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/\w*/y
const BEFORE_REGEXP = new Set([
  'return', 'typeof', 'case', 'in', 'of', 'delete', 'void', 'throw', 'new', 'else', 'do',
  'instanceof', 'yield', 'await'
])
const BEFORE_CONDITION = new Set(['if', 'while', 'for', 'with'])
const BEFORE_BLOCK = new Set([null, ')', ';', '{', '}', '=>', 'else', 'do', 'try', 'finally', ':'])

function match(pattern, text, at) {
  pattern.lastIndex = at
  const found = pattern.exec(text)
  return found === null ? '' : found[0]
}

const skip = (text, at) => at + match(SPACE, text, at).length

// One static import that starts at `at`: its replacement and where it ends, or null.
function declaration(text, at) {
  let here = skip(text, at + 'import'.length)
  const take = pattern => {
    const token = match(pattern, text, here)
    if (token) here = skip(text, here + token.length)
    return token
  }
  const punctuation = sign => {
    if (!text.startsWith(sign, here)) return false
    here = skip(text, here + sign.length)
    return true
  }
  const keyword = word => {
    const before = here
    if (take(WORD) === word) return true
    here = before
    return false
  }
  let defaultName = ''
  let namespace = ''
  const names = []
  let source = take(STRING)
  if (!source) {
    defaultName = take(WORD)
    if (!defaultName || punctuation(',')) {
      if (punctuation('*')) {
        if (!keyword('as') || !(namespace = take(WORD))) return null
      } else if (punctuation('{')) {
        while (!punctuation('}')) {
          const name = take(WORD) || take(STRING)
          if (!name) return null
          const local = keyword('as') ? take(WORD) : name
          if (!local || /^['"]/.test(local)) return null
          names.push([name, local])
          if (!punctuation(',') && text[here] !== '}') return null
        }
      } else return null
    }
    if (!keyword('from') || !(source = take(STRING))) return null
  }
  let attributes = ''
  let end = lastOf(text, here)
  if (keyword('with') || keyword('assert')) {
    const close = text.indexOf('}', here)
    if (text[here] !== '{' || close < 0) return null
    attributes = text.slice(here, close + 1)
    end = close + 1
    here = skip(text, end)
  }
  if (text[here] === ';') end = here + 1
  else if (here < text.length && !text.slice(end, here).includes('\n')) return null
  if (defaultName) names.unshift(['default', defaultName])
  const lines = '\n'.repeat(text.slice(at, end).split('\n').length - 1)
  return { end, text: call(source, names, namespace, attributes) + lines }
}

// Where the token before `here` ends: spaces and comments after it are not part of the import.
function lastOf(text, here) {
  let end = here
  while (end > 0 && /\s/.test(text[end - 1])) end--
  return end
}

function call(source, names, namespace, attributes) {
  const wanted = names.map(([name]) => (/^['"]/.test(name) ? name : `'${name}'`))
  const options = attributes && `, ${attributes}`
  const loaded = `await ${CALL}(${source}, [${wanted}]${options})`
  const pattern = `{${names.map(([name, local]) => `${name}: ${local}`).join(', ')}}`
  if (namespace) {
    return `const ${namespace} = ${loaded}${names.length ? `, ${pattern} = ${namespace}` : ''};`
  }
  return names.length ? `const ${pattern} = ${loaded};` : `void ${loaded};`
}

class Rewriter {
  constructor(text) {
    this.text = text
    this.out = ''
    this.copied = 0
    this.last = null // the last token; 'value' for literals
    this.lastWord = false
    this.regexp = true // whether a slash would start a regular expression
    this.open = [] // what each bracket means: {sign, regexpAfter}
  }

  run() {
    let at = 0
    while (at < this.text.length) {
      const next = skip(this.text, at)
      const fresh = this.last === null || this.text.slice(at, next).includes('\n')
      at = next < this.text.length ? this.token(next, fresh) : next
    }
    return this.out + this.text.slice(this.copied)
  }

  token(at, fresh) {
    const sign = this.text[at]
    const word = match(WORD, this.text, at)
    if (word) return this.word(at, word, fresh)
    const literal = match(STRING, this.text, at) || match(NUMBER, this.text, at)
    if (literal) return this.value(at + literal.length)
    if (sign === '`') return this.template(at + 1)
    if (sign === '/' && this.regexp) {
      const expression = match(REGEXP, this.text, at)
      if (expression) return this.value(at + expression.length)
    }
    return this.punctuation(at, sign)
  }

  value(end) {
    this.last = 'value'
    this.regexp = false
    return end
  }

  word(at, word, fresh) {
    const end = at + word.length
    const property = this.last === '.'
    if (word === 'import' && !property) {
      const follows = this.text[skip(this.text, end)]
      const starts = fresh || this.last === ';' || this.last === '}'
      if (follows === '(') this.replace(at, end, CALL)
      else if (starts && this.open.length === 0 && follows !== '.' && follows !== ':') {
        const found = declaration(this.text, at)
        if (found !== null) {
          this.replace(at, found.end, found.text)
          this.last = ';'
          this.regexp = true
          return found.end
        }
      }
    }
    this.last = property ? 'value' : word
    this.regexp = !property && BEFORE_REGEXP.has(word)
    return end
  }

  replace(from, to, text) {
    this.out += this.text.slice(this.copied, from) + text
    this.copied = to
  }

  punctuation(at, sign) {
    if (sign === '(') {
      this.open.push({ sign, regexpAfter: BEFORE_CONDITION.has(this.last) })
    } else if (sign === '{') {
      this.open.push({ sign, regexpAfter: BEFORE_BLOCK.has(this.last) })
    } else if (sign === '[') {
      this.open.push({ sign, regexpAfter: false })
    } else if (sign === ')' || sign === ']' || sign === '}') {
      const opened = this.open.pop()
      this.last = sign
      this.regexp = opened !== undefined && opened.regexpAfter
      return opened !== undefined && opened.sign === '`' ? this.template(at + 1) : at + 1
    }
    const arrow = sign === '=' && this.text[at + 1] === '>'
    const step = sign === '+' || sign === '-' ? this.text[at + 1] === sign : false
    this.last = arrow ? '=>' : sign
    // `x++ / y`: after a value the sign belongs to it, and a division may follow.
    this.regexp = step ? this.regexp : true
    return at + (arrow || step ? 2 : 1)
  }

  // From inside a template string to its end or to the next `${`.
  template(at) {
    for (; at < this.text.length; at++) {
      const sign = this.text[at]
      if (sign === '\\') at++
      else if (sign === '`') return this.value(at + 1)
      else if (sign === '$' && this.text[at + 1] === '{') {
        this.open.push({ sign: '`', regexpAfter: false })
        this.last = '{'
        this.regexp = true
        return at + 2
      }
    }
    return at
  }
}

exports.CALL = CALL
exports.rewrite = code => (/\bimport\b/.test(code) ? new Rewriter(code).run() : code)
