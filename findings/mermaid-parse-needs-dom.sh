#!/usr/bin/env bash
# Library: npm package mermaid 11.17.2, in Node.js.
# Expected: `mermaid.parse` checks the syntax of a diagram and draws nothing, so it needs no browser for any flowchart.
# Does: a flowchart of bare names and a sequence diagram are parsed. A flowchart with any label throws "DOMPurify.addHook
# is not a function": labels are cleaned while they are parsed, and that needs a DOM. A state diagram throws the same
# without a label. With the DOM of jsdom all of them are parsed.
# Output seen:
#   without a DOM, flowchart of bare names: parsed
#   without a DOM, flowchart with a label: DOMPurify.addHook is not a function
#   without a DOM, flowchart with a syntax error: Parse error on line 2
#   without a DOM, sequence diagram: parsed
#   without a DOM, state diagram: DOMPurify.addHook is not a function
#   with jsdom, flowchart with a label: parsed
#   with jsdom, state diagram: parsed
# Why it matters: a test that parses the diagrams of a repository's documents passes with the first diagrams and fails with
# the first label, with an error that names a library and no line of the diagram.

. "$(dirname "$0")/lib/common.bash"
command -v npm >/dev/null || missing "npm is not here"
echo '{}' >package.json
npm install --silent --no-audit --no-fund mermaid@11.17.2 jsdom@26.1.0 >&2 || missing "npm could not install the packages"
cat >parse.mjs <<'EOF'
const where = process.argv[2];
if (where === 'with jsdom') {
  const { JSDOM } = await import('jsdom');
  const { window } = new JSDOM('');
  Object.assign(globalThis, { window, document: window.document });
}
const { default: mermaid } = await import('mermaid');
const diagrams = {
  'flowchart of bare names': 'flowchart LR\n  a --> b\n',
  'flowchart with a label': 'flowchart LR\n  a[one] --> b\n',
  'flowchart with a syntax error': 'flowchart LR\n  a --> --> b\n',
  'sequence diagram': 'sequenceDiagram\n  a->>b: text\n',
  'state diagram': 'stateDiagram-v2\n  [*] --> a\n',
};
for (const name of process.argv.slice(3)) {
  const result = await mermaid.parse(diagrams[name]).then(() => 'parsed', (error) => error.message.split(':')[0].split('\n')[0]);
  console.log(`${where}, ${name}: ${result}`);
}
EOF
{
    node parse.mjs 'without a DOM' 'flowchart of bare names' 'flowchart with a label' \
        'flowchart with a syntax error' 'sequence diagram' 'state diagram'
    node parse.mjs 'with jsdom' 'flowchart with a label' 'state diagram'
} | check
