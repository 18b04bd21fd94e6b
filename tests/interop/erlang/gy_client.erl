%% A Gy client on Erlang's diameter: it charges one session as it is told on standard input.
%%
%% Connections, watchdog, failover, the T flag and DPR are the stack's own; here is what an application has to give:
%% the CCR, the choice among the peers that are up, and a look at the CCA.
%%
%% Each line in is  KIND NUMBER USED  (1 initial, 2 update, 3 termination; USED is octets, or - for none), or  quit.
%% Each line out begins with "GY " and goes on with JSON.

-module(gy_client).
-export([main/1]).
-export([peer_up/3, peer_down/3, pick_peer/4, prepare_request/3, prepare_retransmit/3]).
-export([handle_answer/4, handle_error/4, handle_request/3]).

-define(SERVICE, ?MODULE).
-define(OCS, "ocs.example.net").
-define(OPEN_MS, 30000).
-define(ANSWER_MS, 40000).

%% The arguments are words: Tw in milliseconds, then the port of each peer on loopback.
main([Watchdog | Ports]) ->
    {ok, _} = application:ensure_all_started(diameter),
    true = diameter:subscribe(?SERVICE),
    ok = diameter:start_service(?SERVICE, [
        {'Origin-Host', "pgw.visited.example"},
        {'Origin-Realm', "visited.example"},
        {'Vendor-Id', 10415},
        {'Product-Name', "Erlang/OTP diameter"},
        {'Origin-State-Id', diameter:origin_state_id()},
        {'Supported-Vendor-Id', [10415]},
        {'Auth-Application-Id', [4]},
        {decode_format, map},
        {string_decode, false},
        {application, [{alias, gy}, {dictionary, gy}, {module, ?MODULE}, {answer_errors, callback}]}
    ]),
    lists:foreach(fun(Port) -> connect(list_to_integer(Port), list_to_integer(Watchdog)) end, Ports),
    lists:foreach(fun(_) -> await(up) end, Ports),
    say("{\"open\": true}"),
    steer(undefined),
    Left = length(diameter:service_info(?SERVICE, connections)),
    ok = diameter:stop_service(?SERVICE),
    timer:sleep(500 * min(1, Left)),
    init:stop().

connect(Port, Watchdog) ->
    Loopback = {127, 0, 0, 1},
    {ok, _} = diameter:add_transport(?SERVICE, {connect, [
        {transport_module, diameter_tcp},
        {transport_config, [{raddr, Loopback}, {rport, Port}, {ip, Loopback}]},
        {watchdog_timer, Watchdog}
    ]}).

await(What) ->
    receive
        {diameter_event, ?SERVICE, Info} when element(1, Info) =:= What -> ok;
        {diameter_event, ?SERVICE, _} -> await(What)
    after ?OPEN_MS ->
        exit({no, What})
    end.

steer(SessionId) ->
    case io:get_line("") of
        Line when is_list(Line) ->
            case string:lexemes(Line, " \n") of
                [Kind, Number, Used] ->
                    steer(charge(list_to_integer(Kind), list_to_integer(Number), Used, SessionId));
                ["quit"] ->
                    ok
            end;
        eof ->
            ok
    end.

charge(1, Number, Used, _) ->
    call(1, Number, Used, diameter:session_id("pgw.visited.example"));
charge(Kind, Number, Used, SessionId) ->
    call(Kind, Number, Used, SessionId).

call(Kind, Number, Used, SessionId) ->
    Sent = diameter:call(?SERVICE, gy, ['CCR' | request(Kind, Number, Used, SessionId)], [{timeout, ?ANSWER_MS}]),
    case Sent of
        {ok, Message, Errors} -> tell(Message, Errors);
        Other -> exit(Other)
    end,
    SessionId.

request(Kind, Number, Used, SessionId) ->
    Subscriber = #{'Subscription-Id-Type' => 1, 'Subscription-Id-Data' => "001010123456789"},
    Fields = #{
        'Session-Id' => SessionId,
        'Destination-Realm' => "example.net",
        'Auth-Application-Id' => 4,
        'Service-Context-Id' => "32251@3gpp.org",
        'CC-Request-Type' => Kind,
        'CC-Request-Number' => Number,
        'Subscription-Id' => [Subscriber],
        'Multiple-Services-Credit-Control' => [services(Kind, Used)]
    },
    case Kind of
        1 -> Fields#{'Multiple-Services-Indicator' => [1]};
        2 -> Fields#{'Destination-Host' => [?OCS]};
        3 -> Fields#{'Destination-Host' => [?OCS], 'Termination-Cause' => [1]}
    end.

services(Kind, Used) ->
    Asked = case Kind of
        3 -> #{};
        _ -> #{'Requested-Service-Unit' => [#{}]}
    end,
    Reported = case Used of
        "-" -> #{};
        _ -> #{'Used-Service-Unit' => [#{'CC-Total-Octets' => [list_to_integer(Used)]}]}
    end,
    maps:merge(maps:merge(Asked, Reported), #{'Rating-Group' => [7]}).

%% An answer that breaks the dictionary is told of, not thrown away.
tell([_ | Fields], Errors) ->
    Services = member('Multiple-Services-Credit-Control', Fields),
    Granted = member('Granted-Service-Unit', Services),
    Values = [
        {"result_code", member('Result-Code', Fields)},
        {"kind", member('CC-Request-Type', Fields)},
        {"number", member('CC-Request-Number', Fields)},
        {"service_result_code", member('Result-Code', Services)},
        {"rating_group", member('Rating-Group', Services)},
        {"granted", member('CC-Total-Octets', Granted)},
        {"validity", member('Validity-Time', Services)},
        {"threshold", member('Volume-Quota-Threshold', Services)}
    ],
    Known = [[", \"", Name, "\": ", integer_to_list(Value)] || {Name, Value} <- Values, is_integer(Value)],
    Errors =:= [] orelse io:format("against the dictionary: ~p~n", [Errors]),
    say(["{\"keeps_rules\": ", atom_to_list(Errors =:= []), Known, "}"]).

member(Name, Fields) when is_map(Fields) ->
    case maps:get(Name, Fields, undefined) of
        [Value] -> Value;
        Value -> Value
    end;
member(_, _) ->
    undefined.

say(Text) ->
    io:put_chars(["GY ", Text, "\n"]).

%% What the stack asks its application

peer_up(_Service, _Peer, State) -> State.

peer_down(_Service, _Peer, State) -> State.

%% The server itself while it is up, else who relays to it; on a failover the lost peer is not among these.
pick_peer(Peers, _Remote, _Service, _State) ->
    case [Peer || {_, Caps} = Peer <- Peers, name(Caps) =:= ?OCS] ++ Peers of
        [Peer | _] -> {ok, Peer};
        [] -> false
    end.

name(Caps) ->
    {_, Name} = element(2, Caps),
    unicode:characters_to_list(Name).

prepare_request(Packet, _Service, {_, Caps}) ->
    ['CCR' | Fields] = element(4, Packet),
    {Host, _} = element(2, Caps),
    {Realm, _} = element(3, Caps),
    {send, ['CCR' | Fields#{'Origin-Host' => Host, 'Origin-Realm' => Realm}]}.

prepare_retransmit(Packet, _Service, _Peer) ->
    {send, Packet}.

handle_answer(Packet, _Request, _Service, _Peer) ->
    {ok, element(4, Packet), element(6, Packet)}.

handle_error(Reason, _Request, _Service, _Peer) ->
    {error, Reason}.

handle_request(_Packet, _Service, _Peer) ->
    {protocol_error, 3001}.
