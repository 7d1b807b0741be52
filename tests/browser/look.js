// SPDX-License-Identifier: Apache-2.0
//
// Looks at pages in a real Chromium: on a desk and on a phone, light and dark, on paper.
//
//   look.js CHROMIUM DIRECTORY PAGE...
//
// A PAGE is a file, or an http: URL, for which PAGE_TOKEN is the password that the browser is asked for.
// A page fails for anything on its console, any request but its own, a violation that axe finds
// serious or critical, or a body that is wider than the window (tables scroll in boxes of their
// own). Pictures and the printed page go to DIRECTORY.
'use strict';
const fs = require('fs');
const path = require('path');
const { pathToFileURL } = require('url');
const puppeteer = require('puppeteer-core');

const axe = fs.readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
const sizes = { desk: { width: 1280, height: 900 }, phone: { width: 360, height: 740, isMobile: true } };
const schemes = ['light', 'dark'];

async function look(browser, file, size, scheme, out) {
	const served = file.startsWith('http:');
	const base = served ? new URL(file).pathname.replace(/\W+/g, '_') : path.basename(file, '.html');
	const name = `${base}-${size}-${scheme}`;
	const found = [];
	const page = await browser.newPage();
	const url = served ? file : pathToFileURL(path.resolve(file)).href;

	page.on('console', (m) => found.push(`console: ${m.text()}`));
	page.on('pageerror', (e) => found.push(`error: ${e.message}`));
	page.on('request', (r) => r.url() !== url && found.push(`request: ${r.url()}`));
	await page.setViewport(sizes[size]);
	await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }]);
	if (served)
		await page.authenticate({ username: 'me', password: process.env.PAGE_TOKEN });
	const answer = await page.goto(url, { waitUntil: 'load' });
	if (served && answer.status() !== 200)
		found.push(`status: ${answer.status()}`);
	await page.screenshot({ path: path.join(out, `${name}.png`) });
	const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
	if (wide > 0)
		found.push(`the page is ${wide} pixels wider than the window`);
	if (size === 'desk' && scheme === 'light')
		await page.pdf({ path: path.join(out, `${name}.pdf`), format: 'A4' });
	await page.evaluate(() => document.querySelectorAll('details').forEach((d) => { d.open = true; }));
	await page.evaluate(axe); // by the debugger, which the page's policy does not bind
	const result = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
	for (const v of result.violations) {
		if (v.impact === 'serious' || v.impact === 'critical')
			found.push(`axe: ${v.id}: ${v.help}: ${v.nodes.slice(0, 3).map((n) => n.html).join(' ')}`);
	}
	await page.close();
	console.log(`${found.length ? 'FAIL' : 'ok  '} ${name}`);
	for (const f of found)
		console.log(`     ${f.slice(0, 600)}`);
	return found.length;
}

async function main() {
	const [chromium, out, ...files] = process.argv.slice(2);
	const browser = await puppeteer.launch({
		executablePath: chromium,
		args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--hide-scrollbars'],
		protocolTimeout: 120000,
	});
	let bad = 0;

	for (const file of files)
		for (const size of Object.keys(sizes))
			for (const scheme of schemes)
				bad += await look(browser, file, size, scheme, out);
	await browser.close();
	process.exit(bad ? 1 : 0);
}

main().catch((e) => { console.error(e.message); process.exit(1); });
