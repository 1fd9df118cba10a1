// Where does each node of a graph stand? Layers by the longest path, an order with few crossings, straight lines where possible.

/** The nodes that a node reads from or waits for. Schemas hold `$ref`s of another kind, so only values are searched. */
function needs(node) {
  const found = new Set(node.after ?? []);
  const search = (value) => {
    if (Array.isArray(value)) value.forEach(search);
    else if (value && typeof value === "object") {
      if (typeof value.$ref === "string") found.add(value.$ref);
      Object.values(value).forEach(search);
    }
  };
  for (const name of ["args", "items", "when", "max_concurrency", "stagger_s", "duration", "concurrency_key", "cache_extra"]) search(node[name]);
  return found;
}

/** Return `{nodes: [{name, node, layer, row}], edges: [{from, to, path: [[layer, row], …]}], layers, rows}`. */
export function layout(definition) {
  const nodes = new Map((definition.nodes ?? []).map((node) => [node.name, node]));
  const before = new Map([...nodes].map(([name, node]) => [name, [...needs(node)].filter((each) => nodes.has(each) && each !== name)]));
  const layer = layers(nodes, before);
  const edges = reduced(nodes, before, layer);
  const columns = [];
  const put = (item) => { (columns[item.layer] ??= []).push(item); return item; };
  const items = new Map([...nodes.keys()].map((name) => [name, put({ name, layer: layer.get(name), ups: [], downs: [] })]));
  const routes = edges.map(([from, to]) => {
    const path = [items.get(from)];
    for (let at = layer.get(from) + 1; at < layer.get(to); at += 1) path.push(put({ name: null, layer: at, ups: [], downs: [] }));
    path.push(items.get(to));
    for (let place = 1; place < path.length; place += 1) {
      path[place - 1].downs.push(path[place]);
      path[place].ups.push(path[place - 1]);
    }
    return { from, to, path };
  });
  order(columns);
  place(columns);
  const rows = Math.max(0, ...columns.flat().map((item) => item.row)) + 1;
  return {
    nodes: [...items.values()].map((item) => ({ name: item.name, node: nodes.get(item.name), layer: item.layer, row: item.row })),
    edges: routes.map(({ from, to, path }) => ({ from, to, path: path.map((item) => [item.layer, item.row]) })),
    layers: columns.length, rows, before,
  };
}

function layers(nodes, before) {
  const found = new Map();
  const visit = (name) => {
    if (found.has(name)) return found.get(name);
    found.set(name, 0); // the server takes no circles
    const value = Math.max(-1, ...before.get(name).map(visit)) + 1;
    found.set(name, value);
    return value;
  };
  for (const name of nodes.keys()) visit(name);
  return found;
}

// Leave out what another path says already: fewer lines, the same order.
function reduced(nodes, before, layer) {
  const above = new Map();
  for (const name of [...nodes.keys()].sort((a, b) => layer.get(a) - layer.get(b))) {
    const all = new Set();
    for (const each of before.get(name)) {
      all.add(each);
      for (const further of above.get(each)) all.add(further);
    }
    above.set(name, all);
  }
  const edges = [];
  for (const [name, direct] of before) {
    for (const each of direct) if (!direct.some((other) => other !== each && above.get(other).has(each))) edges.push([each, name]);
  }
  return edges;
}

function order(columns) {
  const mean = (items) => items.reduce((sum, item) => sum + item.place, 0) / items.length;
  columns.forEach((column) => column.forEach((item, place) => { item.place = place; }));
  for (let sweep = 0; sweep < 6; sweep += 1) {
    const down = sweep % 2 === 0;
    for (const column of down ? columns : [...columns].reverse()) {
      const pull = new Map(column.map((item) => {
        const others = down ? item.ups : item.downs;
        return [item, others.length ? mean(others) : item.place];
      }));
      column.sort((a, b) => pull.get(a) - pull.get(b) || a.place - b.place);
      column.forEach((item, place) => { item.place = place; });
    }
  }
}

// Rows may lie between whole numbers; neighbours in a layer are at least one apart.
function place(columns) {
  const widest = Math.max(0, ...columns.map((column) => column.length));
  columns.forEach((column) => column.forEach((item, at) => { item.row = at + (widest - column.length) / 2; }));
  for (let sweep = 0; sweep < 8; sweep += 1) {
    for (const column of sweep % 2 ? [...columns].reverse() : columns) {
      const wish = column.map((item) => {
        const others = sweep % 2 ? item.downs : item.ups;
        const all = others.length ? others : [...item.ups, ...item.downs];
        return all.length ? all.reduce((sum, each) => sum + each.row, 0) / all.length : item.row;
      });
      spread(column, wish);
    }
  }
  const top = Math.min(0, ...columns.flat().map((item) => item.row));
  const least = Math.min(...columns.flat().map((item) => item.row));
  for (const item of columns.flat()) item.row -= Number.isFinite(least) ? least : top;
}

function spread(column, wish) {
  const blocks = [];
  column.forEach((item, place) => {
    let block = { items: [item], sum: wish[place] };
    const start = (each) => each.sum / each.items.length;
    while (blocks.length) {
      const last = blocks.at(-1);
      if (start(last) + last.items.length <= start(block)) break;
      blocks.pop();
      block = { items: [...last.items, ...block.items], sum: last.sum + block.sum - last.items.length * block.items.length };
    }
    blocks.push(block);
  });
  for (const block of blocks) block.items.forEach((item, at) => { item.row = block.sum / block.items.length + at; });
}
