create table notes (
    tenant text not null,
    id uuid primary key,
    sender uuid not null,
    recipient uuid not null,
    text text not null,
    archived boolean not null default false,
    foreign key (tenant, sender) references users (tenant, id) on delete cascade,
    foreign key (tenant, recipient) references users (tenant, id) on delete cascade
);
