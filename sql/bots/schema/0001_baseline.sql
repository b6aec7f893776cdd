-- Bots: what is known of them beside their rows in users, and the commands that they have declared.

create table bots (
    tenant text not null,
    user_id uuid not null,
    description text not null default '' check (length(description) <= 500),
    -- Who added it: an admin, an operator or a service token.
    added_by text not null,
    created_at bigint not null,
    primary key (user_id, tenant),
    foreign key (tenant, user_id) references users (tenant, id) on delete cascade
);
create index bots_tenant on bots (tenant, user_id);

create table bot_commands (
    tenant text not null,
    bot uuid not null,
    name text not null check (length(name) between 1 and 32),
    -- The place in the list of the bot.
    place smallint not null,
    -- The descriptions by locale, the arguments and the scope, see bots/declarations.py.
    declared jsonb not null,
    primary key (bot, name, tenant),
    foreign key (tenant, bot) references bots (tenant, user_id) on delete cascade
);
create index bot_commands_name on bot_commands (tenant, name, bot);
