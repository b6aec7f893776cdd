-- Presses of buttons, which go to the bots that have sent the messages. They are kept for a limited time.

create table actions (
    tenant text not null,
    id uuid not null,
    bot uuid not null,
    user_id uuid not null,
    conversation uuid not null,
    message uuid not null,
    -- Chosen by the client. Pressing again with it returns the first result.
    client_id text not null,
    -- Of the button.
    data text not null,
    -- By the clock of the database.
    created_at bigint not null,
    -- When the event is sent again; null once the bot has taken it.
    due_at bigint,
    -- How often the event was sent.
    sent integer not null default 1,
    -- When the bot has answered it, which it may do once.
    answered_at bigint,
    primary key (id, tenant),
    unique (message, user_id, client_id, tenant),
    foreign key (tenant, bot) references users (tenant, id) on delete cascade,
    foreign key (tenant, user_id) references users (tenant, id) on delete cascade,
    foreign key (tenant, conversation) references conversations (tenant, id) on delete cascade
);
create index actions_bot on actions (bot, id, tenant);
create index actions_pending on actions (bot, id, tenant) where due_at is not null;
create index actions_due on actions (due_at) where due_at is not null;
create index actions_user on actions (user_id, created_at, tenant);
create index actions_exported on actions (user_id, id, tenant);
create index actions_conversation on actions (conversation, tenant);
create index actions_created on actions (created_at);
