<?php
/** site_name.show and site_name.set: the site's title as a person reads it, not as HTML. */

namespace Latchkey;

$show = static function (): array {
    return ['name' => wp_specialchars_decode((string) get_option('blogname'), ENT_QUOTES)];
};

return [
    'show' => ['wordpress' => true, 'run' => $show],
    'set' => ['wordpress' => true, 'run' => static function (array $args) use ($show): array {
        $name = $args['name'] ?? null;
        if (!is_string($name) || strlen($name) > 1000 || preg_match('/[\x00-\x1f\x7f]/', $name) !== 0) {
            throw new ActionError('invalid', 'The name has to be text in one line of at most 1000 bytes.');
        }
        update_option('blogname', $name);
        return $show();
    }],
];
