'use strict';
'require view';
'require rpc';
'require poll';
'require dom';

/* The last exchanges, newest first, and a search among them. As in the overview, what comes from the network stands in
   arrays. */

const callLog = rpc.declare({ object: 'luci.dnstapd', method: 'log', params: [ 'query' ], expect: { '': {} } });

const ROWS = 50;
const FIELDS = [
	[ 'name', _('Name, and what is below it'), 'example.com' ],
	[ 'client', _('Device, address or network'), '192.168.1.0/24' ],
	[ 'type', _('Type'), 'AAAA' ]
];
const STATUSES = [
	[ '', _('all') ],
	[ 'answered', _('answered') ],
	[ 'blocked', _('blocked') ],
	[ 'nxdomain', _('no such name') ],
	[ 'error', _('failed') ],
	[ 'unanswered', _('unanswered') ],
	[ 'pending', _('waiting') ]
];
const TITLES = [ _('Time'), _('Device'), _('Name'), _('Type'), _('Outcome'), _('Took') ];

const took = value => typeof value == 'number' ? '%.1f ms'.format(value * 1000) : '–';

function row(record) {
	const status = STATUSES.find(([ key ]) => key == record.status);
	return [
		new Date(record.timestamp).toLocaleString(),
		record.device && record.device != '-' ? record.device : record['query-ip'],
		record.qname.length > 1 ? record.qname.replace(/\.$/, '') : record.qname,
		record.rrtype,
		(status ? status[1] : record.status) + (record.answer && record.answer != '-' ? ': ' + record.answer : ''),
		took(record.latency)
	];
}

return view.extend({
	load() {
		const given = new URLSearchParams(location.search);
		this.wanted = Object.fromEntries([ ...FIELDS.map(([ key ]) => key), 'status' ].map(key => [ key, given.get(key) || '' ]));
		return this.ask();
	},

	ask() {
		const words = Object.entries(this.wanted).filter(([ , value ]) => value)
			.map(([ key, value ]) => key + '=' + encodeURIComponent(value).replace(/[!'()]/g, sign => '%' + sign.charCodeAt(0).toString(16)));
		return callLog([ 'limit=' + ROWS, ...words, ...(this.before ? [ 'before=' + this.before ] : []) ].join('&'));
	},

	/* An answer to an older question is not shown. */
	refresh() {
		const turn = this.turn = (this.turn || 0) + 1;
		return this.ask().then(answer => turn == this.turn && this.show(answer));
	},

	show(answer) {
		const rows = (answer.log || []).map(row);

		this.next = answer.next;
		dom.content(this.body, [
			answer.error ? E('div', { 'class': 'alert-message warning' }, [ answer.error ]) : '',
			E('table', { 'class': 'table cbi-section-table' }, [
				E('tr', { 'class': 'tr table-titles' }, TITLES.map(title => E('th', { 'class': 'th' }, [ title ]))),
				...rows.map(cells => E('tr', { 'class': 'tr' }, cells.map((cell, place) =>
					E('td', { 'class': 'td', 'data-title': TITLES[place], 'style': 'overflow-wrap:anywhere' }, [ cell ])))),
				...(rows.length ? [] : [ E('tr', { 'class': 'tr placeholder' }, [
					E('td', { 'class': 'td', 'colspan': TITLES.length }, [ _('Nothing was found.') ])
				]) ])
			]),
			E('div', { 'class': 'right' }, [
				E('button', { 'class': 'btn cbi-button', 'disabled': this.before ? null : '', 'click': () => this.turnTo(null) }, [ _('Newest') ]),
				' ',
				E('button', { 'class': 'btn cbi-button', 'disabled': rows.length < ROWS || !this.next ? '' : null, 'click': () => this.turnTo(this.next) }, [ _('Older') ])
			])
		]);
	},

	turnTo(before) {
		this.before = before;
		return this.refresh();
	},

	search(event) {
		event.preventDefault();
		for (const key in this.wanted)
			this.wanted[key] = event.target.elements[key].value.trim();
		return this.turnTo(null);
	},

	render(answer) {
		const field = (title, input) => E('label', { 'style': 'display:inline-block;margin:0 1em .5em 0' }, [ title, E('br'), input ]);

		this.body = E('div', { 'class': 'cbi-section' });
		this.show(answer);
		poll.add(() => this.before ? null : this.refresh(), 5);

		return E('div', {}, [
			E('h2', {}, [ _('DNS log') ]),
			E('form', { 'class': 'cbi-section', 'submit': event => this.search(event) }, [
				...FIELDS.map(([ key, title, example ]) => field(title,
					E('input', { 'class': 'cbi-input-text', 'name': key, 'value': this.wanted[key], 'placeholder': example }))),
				field(_('Outcome'), E('select', { 'class': 'cbi-input-select', 'name': 'status' }, STATUSES.map(([ key, title ]) =>
					E('option', { 'value': key, 'selected': key == this.wanted.status ? '' : null }, [ title ])))),
				E('button', { 'class': 'btn cbi-button cbi-button-action', 'type': 'submit' }, [ _('Search') ])
			]),
			this.body
		]);
	},

	handleSaveApply: null,
	handleSave: null,
	handleReset: null
});
