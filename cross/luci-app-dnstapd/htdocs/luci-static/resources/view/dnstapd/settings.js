'use strict';
'require view';
'require form';
'require rpc';
'require ui';

/* The options of /etc/config/dnstapd that a home has use for; others stay as they are. Applying them reloads the service. */

const call = method => rpc.declare({ object: 'luci.dnstapd', method, expect: { '': {} } });
const callCheck = call('check'), callPassword = call('password');

function says(title, answer) {
	ui.showModal(title, [
		E('pre', { 'style': 'white-space:pre-wrap' }, [ answer.text || answer.error || _('no answer') ]),
		E('div', { 'class': 'right' }, [ E('button', { 'class': 'btn', 'click': ui.hideModal }, [ _('Dismiss') ]) ])
	]);
}

return view.extend({
	render() {
		const m = new form.Map('dnstapd', _('DNS log: settings'),
			_('What is not here stands in /etc/config/dnstapd, with the keys of dnstapd\'s own reference.'));
		let s, o;

		const section = (name, type, title, words) => {
			s = m.section(form.NamedSection, name, type, title, words);
			s.addremove = false;
		};
		const flag = (name, title, words) => {
			o = s.option(form.Flag, name, title, words);
			o.rmempty = false;
		};
		const value = (name, title, words, datatype, placeholder) => {
			o = s.option(form.Value, name, title, words);
			o.datatype = datatype;
			o.placeholder = placeholder;
		};
		const choice = (name, title, words, ...choices) => {
			o = s.option(form.ListValue, name, title, words);
			choices.forEach(([ key, text ]) => o.value(key, text));
		};
		const list = (name, title, words, datatype, placeholder) => {
			o = s.option(form.DynamicList, name, title, words);
			o.datatype = datatype;
			o.placeholder = placeholder;
		};

		section('main', 'dnstapd', _('Service'));
		flag('enabled', _('Enabled'));
		o = s.option(form.Button, '_check', _('What is applied'), _('Says what runs and what memory it takes, or what is wrong.'));
		o.inputtitle = _('Check');
		o.onclick = () => callCheck().then(answer => says(_('Check'), answer));

		section('sniffer', 'input', _('Packets'), _('Makes the log of the DNS packets of a network, whatever server answers them.'));
		flag('enable', _('Enabled'));
		value('eth_name', _('Interface'), _('The bridge, not one of its ports.'), 'string', 'br-lan');
		o.depends('enable', '1');

		section('unix_socket', 'input', _('DNS server'), _('A socket for a server on this router that speaks dnstap, such as Unbound.'));
		flag('enable', _('Enabled'));
		value('path', _('Path'), null, 'string', '/var/run/dnstapd/dnstap.sock');
		o.depends('enable', '1');

		section('web_api', 'web_api', _('Page'), _('The whole page, with graphs: http://ROUTER:8080/, user admin.'));
		flag('enable', _('Enabled'), _('These views need it, too.'));
		list('interface', _('Networks'), _('Networks whose computers may open it, such as lan. The router itself always may.'), 'uciname', 'lan');
		value('local_port', _('Port'), null, 'port', '8080');
		o = s.option(form.Button, '_password', _('Password'), _('It was made at the first start.'));
		o.inputtitle = _('Show');
		o.onclick = () => callPassword().then(answer => says(_('Password'), answer));

		section('history', 'history', _('History'));
		value('path', _('Folder'), _('Below /tmp it is lost with a reboot; on flash or a stick it stays.'), 'string', '/tmp/dnstapd');
		value('write_budget', _('Written a day, at most'), null, 'string', '1M');

		section('limits', 'limits', _('Memory'));
		choice('profile', _('Profile'), null, [ 'tiny', _('tiny') ], [ 'small', _('small') ], [ 'default', _('usual') ], [ 'large', _('large') ]);
		o.default = 'default';

		section('names', 'names', _('Names of devices'), _('They come from DHCP; others can be given.'));
		s.addremove = true;
		list('static', _('Names'), null, 'string', '192.168.1.5=tv');

		section('filter', 'filter', _('Left out'), _('What is neither counted nor remembered.'));
		s.addremove = true;
		value('exclude_qname_regex', _('Names'), _('A regular expression.'), 'string', '.*\\.lan\\.$');

		section('syslog', 'output', _('Log server'), _('Sends each record to a syslog server.'));
		flag('enable', _('Enabled'));
		choice('transport', _('Transport'), null, [ 'udp', 'UDP' ], [ 'tcp', 'TCP' ], [ 'tls', 'TLS' ]);
		o.depends('enable', '1');
		value('remote_address', _('Server'), null, 'host', '192.0.2.1');
		o.depends('enable', '1');
		value('remote_port', _('Port'), null, 'port', '514');
		o.depends('enable', '1');
		choice('format', _('Format'), null, [ 'text', _('text') ], [ 'json', 'JSON' ], [ 'csv', 'CSV' ]);
		o.depends('enable', '1');

		return m.render();
	}
});
