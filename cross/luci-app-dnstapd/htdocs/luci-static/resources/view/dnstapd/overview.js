'use strict';
'require view';
'require rpc';
'require poll';
'require uci';
'require dom';

/* State, numbers, the devices and names of which most is seen. What comes from the network stands in arrays: LuCI's E()
   makes text of their members, and markup of a bare string. */

const call = (method, params) => rpc.declare({ object: 'luci.dnstapd', method, params, expect: { '': {} } });

const callStatus = call('status'),
      callCounters = call('counters', [ 'query' ]),
      callTables = call('tables', [ 'query' ]),
      callDevices = call('devices', [ 'query' ]),
      callAlarms = call('alarms', [ 'query' ]);

const COUNTERS = 'more=query,response/nxdomain,response/servfail,response/blocked,clients,domains,qps-1m,latency-p50,latency-p95';
const ROWS = 10;

const number = value => value == null ? '–' : Number(value).toLocaleString();
const duration = seconds => !seconds ? '–' : seconds < 1 ? '%.1f ms'.format(seconds * 1000) : '%.2f s'.format(seconds);
const when = text => new Date(text).toLocaleString();
const name = qname => qname.length > 1 ? qname.replace(/\.$/, '') : qname;
const toLog = (key, value) =>
	E('a', { 'href': L.url('admin/services/dnstapd/log') + '?' + key + '=' + encodeURIComponent(value) }, [ name(value) ]);

function table(titles, rows, nothing) {
	return E('table', { 'class': 'table cbi-section-table' }, [
		E('tr', { 'class': 'tr table-titles' }, titles.map(title => E('th', { 'class': 'th' }, [ title ]))),
		...rows.map(cells => E('tr', { 'class': 'tr' }, cells.map((cell, place) =>
			E('td', { 'class': 'td', 'data-title': titles[place] }, [ cell ])))),
		...(rows.length ? [] : [ E('tr', { 'class': 'tr placeholder' }, [ E('td', { 'class': 'td', 'colspan': titles.length }, [ nothing ]) ]) ])
	]);
}

function pairs(rows) {
	return E('table', { 'class': 'table' }, rows.map(([ title, ...cell ]) => E('tr', { 'class': 'tr' }, [
		E('td', { 'class': 'td left', 'width': '33%' }, [ title ]), E('td', { 'class': 'td left' }, cell)
	])));
}

function section(title, ...content) {
	return E('div', { 'class': 'cbi-section' }, [ E('h3', {}, [ title ]), ...content ]);
}

function state(status) {
	if (status.error || !status.running)
		return [ status.running ? _('runs, and does not answer') : _('not running') ];
	return [ status.ready == 'ok' ? _('well') : status.ready ];
}

function page() {
	const port = uci.get('dnstapd', 'web_api', 'local_port') || '8080';
	const scheme = uci.get('dnstapd', 'web_api', 'tls_support') == '1' ? 'https' : 'http';
	const listens = L.toArray(uci.get('dnstapd', 'web_api', 'interface')).length > 0 ||
		L.toArray(uci.get('dnstapd', 'web_api', 'local_address')).some(address => !/^(127\.|::1$)/.test(address));
	const url = scheme + '://' + location.hostname + ':' + port + '/';
	return listens ? E('a', { 'href': url, 'target': '_blank', 'rel': 'noreferrer' }, [ url ])
		: _('only on the router itself; choose a network in the settings');
}

function devices(answer, tables) {
	const titles = [ _('Device'), _('Queries'), _('Blocked'), _('Last seen') ];
	if (Array.isArray(answer.devices))
		return table(titles, answer.devices.map(device => [
			toLog('client', device.name || device.addresses[0]), number(device.queries), number(device.blocked), when(device['last-seen'])
		]), _('No device was seen yet.'));
	const clients = (tables.clients || {})['hit/ip'] || [];
	return table([ _('Address'), _('Messages') ], clients.map(([ address, count ]) => [ address, number(count) ]),
		answer.error || _('No device was seen yet.'));
}

function names(title, rows) {
	return table([ title, _('Queries') ], (rows || []).map(([ qname, count ]) => [ toLog('name', qname), number(count) ]),
		_('No name was asked for yet.'));
}

return view.extend({
	ask() {
		return Promise.all([
			callStatus(), callCounters(COUNTERS), callTables('n=' + ROWS), callDevices('limit=' + ROWS), callAlarms('')
		]);
	},

	load() {
		return Promise.all([ this.ask(), uci.load('dnstapd') ]).then(([ answers ]) => answers);
	},

	content([ status, counters, tables, found, alarms ]) {
		const count = counters.counters || {}, top = tables.tables || {}, domains = top.domains || {};
		const asked = domains['hit/query'] || domains['noerror/query'];
		const trouble = status.error || counters.error;

		return [
			trouble ? E('div', { 'class': 'alert-message warning' }, [ trouble ]) : '',
			section(_('State'), pairs([
				[ _('Service'), ...state(status) ],
				[ _('Version'), status.version || '–' ],
				[ _('The whole page'), page() ]
			])),
			section(_('Since the start'), pairs([
				[ _('Queries'), number(count.query) ],
				[ _('Queries per second, last minute'), count['qps-1m'] == null ? '–' : '%.1f'.format(count['qps-1m']) ],
				[ _('Devices'), number(count.clients) ],
				[ _('Names'), number(count.domains) ],
				[ _('Blocked'), number(count['response/blocked']) ],
				[ _('No such name'), number(count['response/nxdomain']) ],
				[ _('Failed'), number(count['response/servfail']) ],
				[ _('Half of the answers within'), duration(count['latency-p50']) ],
				[ _('95 % of the answers within'), duration(count['latency-p95']) ]
			])),
			(alarms.alarms || []).length ? section(_('Alarms'), table([ _('Last seen'), _('What') ],
				alarms.alarms.map(alarm => [ when(alarm.last), alarm.text ]), '')) : '',
			section(_('Devices that ask most'), devices(found, top)),
			section(_('Names that are asked for most'), names(_('Name'), asked)),
			section(_('Names that do not exist'), names(_('Name'), domains['nxdomain/response']))
		];
	},

	render(answers) {
		const body = E('div', {}, this.content(answers));

		poll.add(() => this.ask().then(fresh => dom.content(body, this.content(fresh))), 5);
		return E('div', {}, [ E('h2', {}, [ _('DNS log') ]), body ]);
	},

	handleSaveApply: null,
	handleSave: null,
	handleReset: null
});
