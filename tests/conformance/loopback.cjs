// The suite's mock servers listen on all interfaces; here they listen on the loopback only.
// `_listen2` is where Node ends up once it is clear that no host was named, and, unlike `listen`
// with a host, it is done when it returns: some mocks ask for their port at once.
'use strict';
const { Server } = require('node:net');

const listen = Server.prototype._listen2;
Server.prototype._listen2 = function (address, port, family, ...rest) {
    if (address === null && port >= 0) {
        return listen.call(this, '127.0.0.1', port, 4, ...rest);
    }
    return listen.call(this, address, port, family, ...rest);
};
