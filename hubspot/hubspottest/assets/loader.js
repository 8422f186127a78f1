// The loader: what a page includes as /<portal id>.js. It adds the widget's
// script to the page, without a nonce, and nothing else.
(function () {
  'use strict';

  var LOADER = 'hs-script-loader';
  var CHILD = 'hubspot-messages-loader';

  var tag = document.currentScript || document.getElementById(LOADER);
  var url = new URL(tag.src);
  var portalId = /\/([0-9]+)\.js$/.exec(url.pathname)[1];

  // Which of HubSpot's releases the widget imitates: the server's choice, filled
  // in here, or the page's.
  var release = new URLSearchParams(location.search).get('hubspot-release') || '{{release}}';

  // HubSpot's own loader puts its scripts before the document's first one, which
  // may be in the body.
  function add(attributes) {
    var script = document.createElement('script');
    Object.keys(attributes).forEach(function (name) { script.setAttribute(name, attributes[name]); });
    var first = document.getElementsByTagName('script')[0];
    first.parentNode.insertBefore(script, first);
  }

  // A page that left out the id gets the loader a second time.
  if (!document.getElementById(LOADER)) {
    add({ id: LOADER, async: '', src: tag.src });
    return;
  }
  if (document.getElementById(CHILD)) {
    return;
  }

  // On HubSpot's own host names the widget lives on another one of the region
  // (js-eu1.hs-scripts.com: eu1); everywhere else it is where the loader is.
  var real = /^js(?:-([a-z]+[0-9]+))?\.hs-scripts\.com$/.exec(url.hostname);
  var hublet = (real && real[1]) || 'na1';
  var origin = real ? '//js' + (hublet === 'na1' ? '' : '-' + hublet) + '.usemessages.com' : url.origin;

  add({
    id: CHILD,
    type: 'text/javascript',
    async: '',
    src: origin + '/conversations-embed.js',
    'data-loader': 'hs-scriptloader',
    'data-hsjs-portal': portalId,
    'data-hsjs-env': 'prod',
    'data-hsjs-hublet': hublet,
    'data-hsjs-release': release,
  });
})();
