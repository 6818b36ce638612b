<?php
/**
 * object_cache.put, object_cache.reach: whether an end of access reaches what this site's object cache remembers.
 *
 * Two calls, because what the second one finds of the first is in a cache that all processes share, the pool's too. Where
 * it finds nothing the pool has to be asked. Nothing that a visitor could notice is changed: no user has the id 0.
 */

namespace Latchkey;

const PUT = 'put';
const KEPT_S = 60;

return [
    'put' => ['wordpress' => true, 'run' => static function (): array {
        wp_cache_set('doctor', PUT, Pool\GROUP, KEPT_S);
        return [];
    }],
    'reach' => ['wordpress' => true, 'run' => static function (): array {
        if (!Pool\is_cached()) {
            return ['reach' => 'none_needed'];
        }
        if (wp_cache_get('doctor', Pool\GROUP, true) === PUT) {
            return ['reach' => 'shared'];
        }
        $url = (string) ($GLOBALS['latchkey']['site']['url'] ?? '');
        return ['reach' => Pool\ask_to_forget($url, '0') ? 'pool' : 'nobody'];
    }],
];
