/* Stands for LuCI's loader and the classes that our views use, for there is no package of it here. Written from the
   interfaces of LuCI's own (luci.js, rpc.js, form.js, ui.js), and as strict: E() makes markup of a bare string and text of the
   members of an array; a class that a view did not require is not there; what ubus refuses is refused. */
'use strict';

String.prototype.format = function(...values) {
	return this.replace(/%(?:\.(\d))?([dfs%])/g, (_, digits, kind) =>
		kind == '%' ? '%' : kind == 'f' ? values.shift().toFixed(digits ?? 6) : kind == 'd' ? Math.floor(values.shift()) : String(values.shift()));
};
window._ = text => text;

const dom = {
	append(node, children) {
		if (Array.isArray(children))
			for (const child of children)
				child instanceof Node ? node.append(child) : child != null && node.append(document.createTextNode(String(child)));
		else if (children instanceof Node)
			node.append(children);
		else if (children != null)
			node.innerHTML = String(children);
	},
	content(node, children) {
		node.replaceChildren();
		this.append(node, children);
	}
};
window.E = (tag, attributes, children) => {
	const node = document.createElement(tag);
	for (const [ key, value ] of Object.entries(attributes || {})) {
		if (value == null)
			continue;
		typeof value == 'function' ? node.addEventListener(key, value) : node.setAttribute(key, value);
	}
	dom.append(node, children);
	return node;
};
window.L = {
	url: path => '/cgi-bin/luci/' + path,
	toArray: value => value == null ? [] : Array.isArray(value) ? value : String(value).trim().split(/\s+/).filter(Boolean)
};

let requests = 0;
async function ubus(object, method, params) {
	const answer = await fetch(L.url('admin/ubus'), { method: 'POST', body: JSON.stringify({
		jsonrpc: '2.0', id: ++requests, method: 'call', params: [ '0'.repeat(32), object, method, params ]
	}) });
	const { result, error } = await answer.json();
	if (error)
		throw new Error(`RPC call to ${object}/${method} failed with error ${error.code}: ${error.message}`);
	return result.length > 1 ? result[1] : result[0];
}

const rpc = {
	declare({ object, method, params = [], expect }) {
		return async (...values) => {
			let found = await ubus(object, method, Object.fromEntries(params.map((name, place) => [ name, values[place] ])));
			for (const key in expect) {
				found = key == '' ? found : found?.[key];
				return found == null || Object.prototype.toString.call(found) != Object.prototype.toString.call(expect[key]) ? expect[key] : found;
			}
			return found;
		};
	}
};

const poll = { add: (task, seconds) => setInterval(task, seconds * 100) }; // ten times as fast

const uci = {
	state: {},
	async load(config) { this.state[config] = (await ubus('uci', 'get', { config })).values; },
	get(config, section, option) { return this.state[config]?.[section]?.[option]; }
};

const ui = {
	showModal(title, children) { ui.hideModal(); document.body.append(E('div', { 'id': 'modal', 'role': 'dialog' }, [ E('h4', {}, [ title ]), ...children ])); },
	hideModal() { document.getElementById('modal')?.remove(); }
};

/* Options with their input, and what is to be saved of each. */
class Value {
	constructor(name, title, description) { Object.assign(this, { name, title, description, rmempty: true, needs: [], choices: [] }); }
	value(key, text) { this.choices.push([ key, text ?? key ]); }
	depends(name, value) { this.needs.push([ name, value ]); }
	before() { return this.section.values?.[this.name]; }
	widget() { return E('input', { 'class': 'cbi-input-text', 'value': this.before() ?? '', 'placeholder': this.placeholder }); }
	input() { return this.node.value.trim(); }
	render() {
		this.node = this.widget();
		this.node.setAttribute('data-name', this.section.name + '.' + this.name);
		this.row = E('div', { 'class': 'cbi-value' }, [ E('label', { 'class': 'cbi-value-title' }, [ this.title ]),
			E('div', { 'class': 'cbi-value-field' }, [ this.node, ...(this.description ? [ E('div', { 'class': 'cbi-value-description' }, [ this.description ]) ] : []) ]) ]);
		return this.row;
	}
	changes() {
		const now = this.input(), before = this.before() ?? (this.rmempty ? '' : undefined);
		return this.row.hidden || String(now) == String(before ?? '') && before !== undefined ? [] : [ [ this.name, now ] ];
	}
}
class Flag extends Value {
	widget() { return E('input', { 'type': 'checkbox', 'checked': /^(1|on|true|yes|enabled)$/.test(this.before() ?? '') ? '' : null }); }
	input() { return this.node.checked ? '1' : '0'; }
}
class ListValue extends Value {
	widget() {
		return E('select', { 'class': 'cbi-input-select' }, this.choices.map(([ key, text ]) =>
			E('option', { 'value': key, 'selected': key == this.before() ? '' : null }, [ text ])));
	}
}
class DynamicList extends Value {
	before() { const found = L.toArray(super.before()); return found.length ? found : undefined; }
	widget() { return E('textarea', { 'rows': 2, 'placeholder': this.placeholder }, [ (this.before() ?? []).join('\n') ]); }
	input() { return this.node.value.split('\n').map(item => item.trim()).filter(Boolean); }
}
class Button extends Value {
	widget() { return E('button', { 'class': 'btn cbi-button', 'click': () => this.onclick() }, [ this.inputtitle ]); }
	changes() { return []; }
}
class NamedSection {
	constructor(map, name, type, title, description) { Object.assign(this, { map, name, type, title, description, options: [] }); }
	option(kind, ...words) { const made = new kind(...words); made.section = this; this.options.push(made); return made; }
	render() {
		this.values = uci.state[this.map.config][this.name];
		if (!this.values && !this.addremove)
			return '';
		const rows = this.values ? this.options.map(option => option.render()) : [ E('em', {}, [ 'This section contains no values yet' ]) ];
		const node = E('div', { 'class': 'cbi-section' }, [ E('h3', {}, [ this.title ]),
			...(this.description ? [ E('div', { 'class': 'cbi-section-descr' }, [ this.description ]) ] : []), ...rows ]);
		node.addEventListener('change', () => this.hide());
		this.hide();
		return node;
	}
	hide() {
		for (const option of this.values ? this.options : [])
			option.row.hidden = !option.needs.every(([ name, value ]) => this.options.find(other => other.name == name).input() == value);
	}
}
class FormMap {
	constructor(config, title, description) { Object.assign(this, { config, title, description, sections: [] }); }
	section(kind, ...words) { const made = new kind(this, ...words); this.sections.push(made); return made; }
	async render() {
		await uci.load(this.config);
		FormMap.shown = this;
		return E('div', { 'class': 'cbi-map' }, [ E('h2', {}, [ this.title ]), E('div', { 'class': 'cbi-map-descr' }, [ this.description ]),
			...this.sections.map(section => section.render()) ]);
	}
	async save() {
		for (const section of this.sections) {
			const values = Object.fromEntries(section.values ? section.options.flatMap(option => option.changes()) : []);
			if (Object.keys(values).length)
				await ubus('uci', 'set', { config: this.config, section: section.name, values });
		}
		await ubus('uci', 'apply', { rollback: true, timeout: 90 });
	}
}
const form = { Map: FormMap, NamedSection, Value, Flag, ListValue, DynamicList, Button };

const view = { extend: members => members };

const CLASSES = { view, rpc, poll, uci, ui, dom, form };
(async () => {
	const source = await (await fetch(`/luci-static/resources/view/${document.body.dataset.view}.js`)).text();
	const wanted = [ ...source.matchAll(/^'require ([a-z]+)';$/mg) ].map(found => found[1]);
	/* What was not required is shadowed. */
	const members = Function(...Object.keys(CLASSES), source)(...Object.keys(CLASSES).map(name => wanted.includes(name) ? CLASSES[name] : undefined));
	const instance = Object.create(members);
	const loaded = await instance.load?.();
	dom.content(document.getElementById('view'), [ await instance.render(loaded) ]);
	if (members.handleSaveApply === undefined)
		document.getElementById('view').append(E('div', { 'class': 'cbi-page-actions' }, [
			E('button', { 'class': 'btn cbi-button cbi-button-apply', 'click': () => FormMap.shown.save().then(() => { document.body.dataset.applied = 'yes'; }) }, [ 'Save & Apply' ])
		]));
	document.body.dataset.ready = 'yes';
})().catch(error => { document.getElementById('view').textContent = String(error); throw error; });
