// The version of amqp091-go that the client program is built with.
module colobus/amqp

go 1.20

require github.com/rabbitmq/amqp091-go v1.10.0
